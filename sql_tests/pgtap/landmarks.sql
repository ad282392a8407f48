-- The builtin landmarks network behind YuNet, which has landmarks of its own,
-- on real photos: nearly the same landmarks, nearly the same embeddings.
-- Skipped without the test data.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
\set present `test -r "${FACEREC_TESTDATA:-../shared}/models/yunet_n_dynamic.onnx" && echo 1 || echo 0`
BEGIN;
\if :present
SELECT plan(11);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd "${FACEREC_TESTDATA:-../shared}" && for f in photos/*.jpg photos/*.png models/yunet_n_dynamic.onnx models/mobilefacenet-128.onnx; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
CREATE FUNCTION pg_temp.file(text) RETURNS bytea LANGUAGE sql AS 'SELECT data FROM file WHERE name = $1';
-- dogs are no faces to agree about
CREATE TEMP TABLE photo AS SELECT name, data FROM file WHERE name ~ '(jpg|png)$' AND name !~ 'animals|webp';

SELECT ok(bool_and(label ~ '^[a-z-]+@[0-9a-f]{8}$') AND count(DISTINCT "right"(label, 8)) = 4, 'models load, each another one') FROM (
	SELECT face_model_load('plain', pg_temp.file('yunet_n_dynamic.onnx'), 'yunet') UNION ALL
	SELECT face_model_load('refined', pg_temp.file('yunet_n_dynamic.onnx'), 'yunet', '{"landmarks": "facerec-landmarks"}') UNION ALL
	SELECT face_model_load('who', pg_temp.file('mobilefacenet-128.onnx'), 'mobilefacenet', '{"detector": "plain"}') UNION ALL
	SELECT face_model_load('who-refined', pg_temp.file('mobilefacenet-128.onnx'), 'mobilefacenet', '{"detector": "refined"}')) s(label);
SELECT isnt(a.fingerprint, b.fingerprint, 'the landmarks network makes another detector') FROM facerec_models a, facerec_models b WHERE a.name = 'plain' AND b.name = 'refined';
SELECT isnt(a.fingerprint, b.fingerprint, 'and another embedder') FROM facerec_models a, facerec_models b WHERE a.name = 'who' AND b.name = 'who-refined';
SELECT throws_ok($$SELECT face_model_drop('refined')$$, '2BP01', NULL, 'a detector in use stays');

CREATE TEMP TABLE face AS SELECT p.name, d.face_no, d.box, d.score, d.landmarks, d.roll, r.box AS r_box, r.score AS r_score, r.landmarks AS r_landmarks, r.roll AS r_roll
	FROM photo p, face_detect(p.data, 'plain') d, face_detect(p.data, 'refined') r WHERE r.face_no = d.face_no;
SELECT cmp_ok(count(*)::int, '>=', 30, 'there are faces') FROM face;
SELECT ok(bool_and(box ~= r_box AND score = r_score), 'boxes and scores stay') FROM face;
CREATE TEMP TABLE apart AS SELECT f.*, (SELECT avg(f.landmarks[k] <-> f.r_landmarks[k]) FROM generate_series(1, 5) k) / (f.landmarks[1] <-> f.landmarks[2]) AS distance FROM face f;
SELECT cmp_ok(percentile_cont(0.5) WITHIN GROUP (ORDER BY distance), '<', 0.08::float8, 'landmarks lie near YuNet''s') FROM apart;
SELECT cmp_ok(min(distance), '>', 0.001::float8, 'but are others') FROM apart;
SELECT cmp_ok(percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(roll - r_roll)), '<', 4::float8, 'heads stay as tilted') FROM apart;
SELECT ok(bool_and((r_landmarks[1])[0] < (r_landmarks[2])[0]), 'left stays left') FROM face;
SELECT cmp_ok(percentile_cont(0.5) WITHIN GROUP (ORDER BY a.embedding <=> face_embedding(b.embedding::real[], 'who')), '<', 0.05::float8, 'embeddings stay nearly the same')
FROM (SELECT p.name, e.face_no, e.embedding FROM photo p, face_embed_all(p.data, 'who') e) a
	JOIN (SELECT p.name, e.face_no, e.embedding FROM photo p, face_embed_all(p.data, 'who-refined') e) b USING (name, face_no);
SELECT * FROM finish();
\else
SELECT plan(1);
SELECT skip('no test data: set FACEREC_TESTDATA to the folder with models and photos', 1);
SELECT * FROM finish();
\endif
ROLLBACK;
