-- Properties of thresholds and of the operator %.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
BEGIN;
SELECT plan(44);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/*.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
SELECT face_model_load('patches', data, 'yunet') FROM file WHERE name = 'patch-detector.onnx' \g /dev/null
SELECT face_model_load('people', data, 'mobilefacenet') AS people FROM file WHERE name = 'patch-embedder.onnx' \gset
SET facerec.embedder = 'people';
SET facerec.detector = 'patches';

-- ---- shape -----------------------------------------------------------------
SELECT has_table('facerec_thresholds'::name);
SELECT col_is_pk('facerec_thresholds', ARRAY['model', 'fmr']);
SELECT has_trigger('facerec_thresholds', 'facerec_thresholds_guard');
SELECT is((SELECT extcondition[array_position(extconfig, 'facerec_thresholds'::regclass::oid)] FROM pg_extension WHERE extname = 'facerec'),
	'WHERE NOT builtin', 'user rows are dumped');
SELECT ok(has_table_privilege('public', 'facerec_thresholds', 'SELECT'), 'everybody reads');
SELECT ok(NOT has_table_privilege('public', 'facerec_thresholds', 'INSERT, UPDATE, DELETE, TRUNCATE'), 'nobody else writes');
SELECT ok(NOT has_function_privilege('public', 'facerec_thresholds_guard()', 'EXECUTE'), 'the guard is not for other tables');
SELECT ok(bool_and(provolatile = 's' AND proparallel = 's' AND proisstrict), 'stable, strict, parallel safe')
FROM pg_proc WHERE proname IN ('face_threshold', 'face_match', 'face_verify');
SELECT is((SELECT count(*)::int FROM pg_operator WHERE oprname = '%' AND oprleft = 'faceembedding'::regtype AND oprcom = oid), 1, '% is its own commutator');

-- ---- a model by name -------------------------------------------------------
SELECT throws_ok($$SELECT face_threshold('people', 1e-3)$$, '22023', format('no threshold for model "%s" at false match rate 0.001', :'people'), 'no rows, no threshold');
SELECT throws_ok($$SELECT face_threshold('patches', 1e-3)$$, '42809', 'face model "patches" is not an embedder', 'detectors have no thresholds');
SELECT throws_ok($$SELECT face_threshold('nobody', 1e-3)$$, '42704', 'face model "nobody" does not exist', 'nor have models that are not there');
INSERT INTO facerec_thresholds (model, fmr, threshold, n_impostor)
	SELECT :'people', 10.0 ^ -n, (0.6 - 0.07 * n - 0.005 * n * n) / 4, 100000000 FROM generate_series(1, 6) n;
SELECT is(round(face_threshold('people', 1e-3)::numeric, 9), 0.08625, 'a name finds the rows of its fingerprint');
SELECT is(face_threshold(:'people', 1e-3), face_threshold('people', 1e-3), 'and so does a label');
SELECT is(count(*)::int, 0, 'a stricter rate never accepts more') FROM (
	SELECT face_threshold('people', 10.0 ^ -(n / 100.0)) AS t, lag(face_threshold('people', 10.0 ^ -(n / 100.0))) OVER (ORDER BY n) AS looser
	FROM generate_series(100, 600) n) s WHERE t > looser;
SELECT is(count(*)::int, 0, 'nor does a larger gallery') FROM (
	SELECT face_threshold('people', 0.05, size) AS t, lag(face_threshold('people', 0.05, size)) OVER (ORDER BY size) AS smaller
	FROM unnest(ARRAY[1, 2, 3, 10, 100, 999, 1000, 5000, 50000]) size) s WHERE t > smaller;
SELECT is(face_threshold('people', 1e-3, 1), face_threshold('people', 1e-3), 'a gallery of one is a comparison');

-- ---- networks ---------------------------------------------------------------
-- the fingerprint of a model without what its descriptor says about detection
CREATE FUNCTION network_of(text) RETURNS text LANGUAGE sql AS $$
	SELECT substring(encode(sha256(sha256 || convert_to(format(' preset=%s dims=%s descriptor=%s', preset, dims,
		descriptor - '{detector,detection_threshold,detection_size,min_face_size,max_faces,weight_storage}'::text[]), 'UTF8')), 'hex') FOR 8)
	FROM facerec_models WHERE name = $1 $$;
SELECT face_model_load('patches-2', data, 'yunet', '{"nms_iou": 0.5}') FROM file WHERE name = 'patch-detector.onnx' \g /dev/null
SELECT face_model_load('people-' || v.name, f.data, 'mobilefacenet', descriptor::jsonb) FROM file f, (VALUES ('far', '{"detector": "patches-2"}'),
	('small', '{"detection_size": 320, "detection_threshold": 0.7, "min_face_size": 10, "max_faces": 5}'), ('half', '{"weight_storage": "fp16"}'),
	('flip', '{"flip": true}')) v(name, descriptor) WHERE f.name = 'patch-embedder.onnx' \g /dev/null
SELECT is(count(DISTINCT fingerprint)::int, 5, 'five models') FROM facerec_models WHERE name ~ '^people';
SELECT is(count(DISTINCT network_of(name))::int, 2, 'of two networks') FROM facerec_models WHERE name ~ '^people';
SELECT throws_like($$SELECT face_threshold('people-far', 1e-3)$$, 'no threshold for model "people-far@%', 'a model has no threshold from another one of its network');
INSERT INTO facerec_thresholds (model, fmr, threshold) SELECT 'network@' || network_of('people'), 10.0 ^ -n, 0.5 / n FROM generate_series(1, 4) n;
SELECT is(array_agg(face_threshold(name, 1e-2)), ARRAY[0.25, 0.25, 0.25]::float8[], 'but from its network') FROM unnest(ARRAY['people-far', 'people-half', 'people-small']) name;
SELECT is(face_threshold('network@' || network_of('people'), 1e-2), 0.25::float8, 'which can be named, too');
SELECT throws_like($$SELECT face_threshold('people-flip', 1e-2)$$, 'no threshold for model "people-flip@%', 'not from another network');
SELECT isnt(face_threshold('people', 1e-3), face_threshold('people-far', 1e-3), 'rows of its own come first');
SELECT ok(bool_and(face_match(e, e, 1e-2)), '% finds them') FROM (SELECT face_embed(data, 'people-far') AS e FROM file WHERE name = 'ann-1.png') s;
SELECT throws_like($$SELECT face_threshold('0000abcd', 1e-2)$$, 'no threshold for model %', 'a model that is not in the catalog has no network');

-- ---- what came with the extension ---------------------------------------------
SELECT is_empty($$SELECT model FROM facerec_thresholds WHERE builtin AND (source IS NULL OR fnmr IS NULL OR n_genuine < 100 OR fmr * n_impostor < 3)$$,
	'every shipped row says what it rests on, and rests on enough');
SELECT is_empty($$SELECT * FROM (SELECT model, fmr, threshold < lag(threshold) OVER w OR fnmr > lag(fnmr) OVER w AS is_wrong FROM facerec_thresholds WHERE builtin WINDOW w AS (PARTITION BY model ORDER BY fmr)) s WHERE is_wrong$$,
	'a looser rate accepts more');
SELECT is_empty($$SELECT fingerprint FROM facerec_thresholds WHERE builtin GROUP BY 1 HAVING max(fmr) < 0.1 OR min(fmr) > 1e-6 OR count(*) < 6$$,
	'shipped rates reach from 1e-1 to 1e-6');
SELECT is_empty($$SELECT fmr, size FROM facerec_models m, unnest(ARRAY[1e-1, 1e-2, 1e-4, 1e-6]::float8[]) fmr, unnest(ARRAY[1, 100, 10000]) size
	WHERE m.builtin AND m.role = 'embedder' AND fmr / size > 1e-6 AND face_threshold(m.name, fmr, size) IS NULL$$, 'every builtin embedder has them, up to a gallery of 10,000 at 0.1');
\set embedder `base64 -w0 src/networks/embedder.onnx`
SELECT face_model_load('shipped', decode(:'embedder', 'base64'), 'mobilefacenet', '{"max_faces": 7}') \g /dev/null
SELECT face_model_load('shipped-flip', decode(:'embedder', 'base64'), 'mobilefacenet', '{"max_faces": 7, "flip": true}') \g /dev/null
SELECT ok(face_threshold('shipped', 1e-4) BETWEEN 0.3 AND 0.8, 'src/networks/embedder.onnx is the network that was calibrated');
SELECT ok(face_threshold('shipped-flip', 1e-4) BETWEEN 0.3 AND 0.8, 'with flip averaging, too');

-- ---- matching --------------------------------------------------------------
CREATE TEMP TABLE face AS SELECT name, face_embed(data) AS embedding FROM file WHERE name ~ '^(ann|bob|cid)';
CREATE TEMP TABLE pair AS SELECT a.embedding AS a, b.embedding AS b FROM face a, face b;
SET facerec.fmr = 1e-3;
SELECT ok(bool_and((a % b) = (a <=> b <= face_threshold('people', 1e-3))), '% compares with the threshold') FROM pair;
SELECT ok(bool_and((a % b) = (b % a)), '% is symmetric') FROM pair;
SELECT ok(bool_and(a % a), '% is reflexive') FROM pair;
SELECT ok(bool_and((a % b) = face_match(a, b)), '% is face_match') FROM pair;
SELECT ok(bool_and((a % b) = face_match(a, b, 1e-3)), 'at facerec.fmr') FROM pair;
SELECT ok(bool_and(face_match(a, b, 1e-2)), 'what matches at a rate matches at looser ones') FROM pair WHERE face_match(a, b, 1e-5);
SET facerec.fmr = 1e-6;
SELECT ok(bool_and((a % b) = face_match(a, b, 1e-6)), 'a change of facerec.fmr counts at once') FROM pair;
SET facerec.fmr = 1e-3;
SELECT set_eq($$SELECT substring(f.name FOR 3) FROM face f, (SELECT face_embed(data) AS probe FROM file WHERE name = 'ann-2.png' OFFSET 0) q
	WHERE embedding % q.probe ORDER BY embedding <=> q.probe LIMIT 5$$, $$VALUES ('ann')$$, 'the identification query finds the person and nobody else');

-- ---- calibration in SQL -----------------------------------------------------
SET client_min_messages = error; -- eight pairs of strangers are too few
SELECT lives_ok($$WITH pairs AS (
		SELECT "left"(a.name, 3) = "left"(b.name, 3) AS mated, a.embedding <=> b.embedding AS d
		FROM face a JOIN face b ON b.name > a.name),
	t AS (SELECT fmr, (SELECT percentile_disc(fmr) WITHIN GROUP (ORDER BY d) FROM pairs WHERE NOT mated) AS threshold
		FROM unnest(ARRAY[0.5, 1e-2, 1e-3]::float8[]) fmr)
	INSERT INTO facerec_thresholds (model, fmr, threshold, n_genuine, n_impostor, fnmr, source)
	SELECT face_model(embedding), t.fmr, t.threshold, count(*) FILTER (WHERE mated), count(*) FILTER (WHERE NOT mated),
		avg((d > t.threshold)::int) FILTER (WHERE mated), 'site calibration'
	FROM t CROSS JOIN pairs CROSS JOIN (SELECT embedding FROM face LIMIT 1) m WHERE t.threshold IS NOT NULL GROUP BY face_model(embedding), t.fmr, t.threshold
	ON CONFLICT (model, fmr) DO UPDATE SET threshold = excluded.threshold, fnmr = excluded.fnmr,
		n_genuine = excluded.n_genuine, n_impostor = excluded.n_impostor, source = excluded.source, calibrated_at = now()$$, 'a site calibrates its own faces');
SELECT throws_like($$SELECT face_threshold('people', 0.5)$$, 'no threshold for model %', 'which must not contradict what was there');
DELETE FROM facerec_thresholds WHERE source IS NULL;
SELECT is(face_threshold('people', 0.5), threshold, 'and the next call uses it') FROM facerec_thresholds WHERE model = :'people' AND fmr = 0.5;
SELECT isnt(round(face_threshold('people', 1e-3)::numeric, 9), 0.08625, 'also where a row changed');
SELECT * FROM finish();
ROLLBACK;
