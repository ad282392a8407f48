-- face_verify: two photos, one person?
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/*.png images/small.gif; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE photo AS SELECT substring(name FROM '/(.*)[.]') AS name, decode(base64, 'base64') AS data FROM input;
BEGIN;
SELECT face_model_load('patches', data, 'yunet') IS NOT NULL AS detector FROM photo WHERE name = 'patch-detector';
SELECT face_model_load('people', data, 'mobilefacenet') AS people FROM photo WHERE name = 'patch-embedder' \gset
CREATE FUNCTION photo(text) RETURNS bytea STABLE RETURN (SELECT data FROM photo WHERE name = $1);
\set ON_ERROR_ROLLBACK on

-- what is missing
\set VERBOSITY terse
SET facerec.embedder = '';
SELECT face_verify(photo('ann-1'), photo('ann-2'));
SET facerec.embedder = 'nobody';
SELECT face_verify(photo('ann-1'), photo('ann-2'));
SET facerec.embedder = 'patches';
SELECT face_verify(photo('ann-1'), photo('ann-2'));
SET facerec.embedder = 'people';
SET facerec.detector = 'patches';
\set VERBOSITY sqlstate
SELECT face_verify(photo('ann-1'), photo('ann-2'));
\set VERBOSITY default
INSERT INTO facerec_thresholds (model, fmr, threshold, n_impostor) VALUES (:'people', 1e-2, 0.2, 1000000), (:'people', 1e-4, 0.05, 1000000), (:'people', 1e-6, 0.0, 1000000);

-- the same and others, at two rates
SELECT a, b, same, round(similarity::numeric, 2) AS similarity, threshold
FROM (VALUES ('ann-1', 'ann-2'), ('bob-1', 'bob-2'), ('ann-1', 'bob-1'), ('cid-1', 'ann-2'), ('cid-1', 'cid-1')) t (a, b), face_verify(photo(a), photo(b));
SELECT fmr, same, round(threshold::numeric, 4) AS threshold FROM unnest(ARRAY[1e-2, 1e-3, 1e-4]::float8[]) fmr, face_verify(photo('ann-1'), photo('ann-2'), fmr);
SET facerec.fmr = 1e-2;
SELECT same, threshold FROM face_verify(photo('ann-1'), photo('ann-2'));
-- it is face_match of face_embed, and 1 - distance
SELECT count(*) AS pairs, bool_and(v.same = face_match(face_embed(a.data), face_embed(b.data))) AS same,
	bool_and(v.similarity = face_similarity(face_embed(a.data), face_embed(b.data))::real) AS similarity,
	bool_and(v.threshold = (1 - face_threshold('people', 1e-2))::real) AS threshold
FROM photo a, photo b, face_verify(a.data, b.data) v WHERE a.name ~ '^(ann|bob|cid)' AND b.name ~ '^(ann|bob|cid)';
-- of several faces the largest
SELECT v.similarity = face_similarity(face_embed(photo('party')), face_embed(photo('ann-1')))::real AS largest FROM face_verify(photo('party'), photo('ann-1')) v;

-- no face, no answer; but still a threshold
SELECT * FROM face_verify(photo('nobody'), photo('ann-1'));
SELECT * FROM face_verify(photo('ann-1'), photo('nobody'));
SELECT * FROM face_verify(photo('nobody'), photo('nobody'));
SELECT * FROM face_verify(NULL, photo('ann-1'));
SELECT * FROM face_verify(photo('ann-1'), photo('ann-2'), NULL);

-- rates, thresholds and pictures that are none
SELECT face_verify(photo('ann-1'), photo('ann-2'), 0);
SELECT face_verify(photo('ann-1'), photo('ann-2'), 'NaN');
\set VERBOSITY sqlstate
SELECT face_verify(photo('ann-1'), photo('ann-2'), 0.5);
\set VERBOSITY default
SELECT face_verify(photo('ann-1'), photo('small'));
SELECT face_verify('', photo('ann-1'));
SET facerec.on_error = 'ignore';
SELECT * FROM face_verify(photo('ann-1'), photo('small'));
RESET facerec.on_error;
-- a calibration that is too small for the rate: one warning, not one per row
\set VERBOSITY terse
SELECT count((face_verify(photo('ann-1'), photo('ann-' || n), 1e-6)).threshold) FROM generate_series(1, 2) n;
\set VERBOSITY default

-- both call sites follow the settings
SELECT face_model_load('people-b', data, 'mobilefacenet') IS NOT NULL AS embedder FROM photo WHERE name = 'patch-embedder-b';
INSERT INTO facerec_thresholds (model, fmr, threshold) SELECT name || '@' || fingerprint, 1e-2, 0.3 FROM facerec_models WHERE name = 'people-b';
SELECT model, set_config('facerec.embedder', model, true) = model AS set, (face_verify(photo('ann-1'), photo('ann-2'))).threshold
FROM unnest(ARRAY['people', 'people-b', 'people']) model;
ROLLBACK;
