-- ---- thresholds that come with the extension ---------------------------------
-- Written by src/networks/train/calibrate.py; src/networks/README says more.
-- The rows are of networks, whatever the detector: see 40_metrics.sql.

INSERT INTO facerec_thresholds
	(model, fmr, threshold, fnmr, n_impostor, n_genuine, source, calibrated_at)
SELECT point.*, 3000,
	'strangers: CelebA crops, but for pairs that ' || CASE WHEN model ~ '^facerec-embedder' THEN 'its teachers take' ELSE 'another network takes' END || ' for one person; same person: 1,500 pairs of film frames (imfdb8; small, many in profile), 1,500 of portraits (orl40)'
	|| CASE WHEN model ~ '^facerec-embedder' THEN '; most of these crops were trained on, unlabelled' ELSE '' END,
	'2026-11-23 00:00+00'
FROM (VALUES
	('mobilefacenet-128@1acdaa28', 1e-1, 0.87033, 0.1040, 48196380),
	('mobilefacenet-128@1acdaa28', 1e-2, 0.76180, 0.2030, 48196380),
	('mobilefacenet-128@1acdaa28', 1e-3, 0.67450, 0.2893, 48196380),
	('mobilefacenet-128@1acdaa28', 1e-4, 0.59671, 0.3447, 48196380),
	('mobilefacenet-128@1acdaa28', 1e-5, 0.51897, 0.3997, 48196380),
	('mobilefacenet-128@1acdaa28', 1e-6, 0.44532, 0.4447, 48196380),
	('retail-0095@9cd0929f', 1e-1, 0.87667, 0.0457, 48196159),
	('retail-0095@9cd0929f', 1e-2, 0.76306, 0.1103, 48196159),
	('retail-0095@9cd0929f', 1e-3, 0.66751, 0.1877, 48196159),
	('retail-0095@9cd0929f', 1e-4, 0.58420, 0.2610, 48196159),
	('retail-0095@9cd0929f', 1e-5, 0.49285, 0.3557, 48196159),
	('retail-0095@9cd0929f', 1e-6, 0.40966, 0.4290, 48196159),
	('facerec-embedder@c0083750', 1e-1, 0.85963, 0.1103, 48195857),
	('facerec-embedder@c0083750', 1e-2, 0.72714, 0.2433, 48195857),
	('facerec-embedder@c0083750', 1e-3, 0.61827, 0.3537, 48195857),
	('facerec-embedder@c0083750', 1e-4, 0.53177, 0.4230, 48195857),
	('facerec-embedder@c0083750', 1e-5, 0.46336, 0.4733, 48195857),
	('facerec-embedder@c0083750', 1e-6, 0.40411, 0.5103, 48195857),
	('facerec-embedder-flip@2a0598d9', 1e-1, 0.85885, 0.0963, 48195857),
	('facerec-embedder-flip@2a0598d9', 1e-2, 0.72423, 0.2257, 48195857),
	('facerec-embedder-flip@2a0598d9', 1e-3, 0.61380, 0.3370, 48195857),
	('facerec-embedder-flip@2a0598d9', 1e-4, 0.52581, 0.4080, 48195857),
	('facerec-embedder-flip@2a0598d9', 1e-5, 0.45360, 0.4630, 48195857),
	('facerec-embedder-flip@2a0598d9', 1e-6, 0.39470, 0.4960, 48195857)
) AS point (model, fmr, threshold, fnmr, n_impostor);
