-- The models that come with the extension: there from the start, used by
-- default, never changed, and replaced only by those of another library.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/patch-detector.onnx models/patch-embedder.onnx models/patch-scrfd-boxes.onnx patches/ann-1.png portraits/01-suyeri-1.jpg portraits/noface-1.jpg; do printf "%s\t%s\n" $f $(base64 -w0 $f); done; cd ../../src/networks && for f in *.onnx; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TABLE file AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
CREATE FUNCTION pg_temp.file(text) RETURNS bytea LANGUAGE sql AS 'SELECT data FROM file WHERE name = $1';
CREATE FUNCTION label(text) RETURNS text LANGUAGE sql AS 'SELECT name || ''@'' || fingerprint FROM facerec_models WHERE name = $1';

-- ---- the rows ---------------------------------------------------------------
SELECT name, role, preset, dims, builtin, weights, license ~ '^non-commercial research only' AS license, source IS NOT NULL AS source,
	fingerprint ~ '^[0-9a-f]{8}$' AS fingerprint
FROM facerec_models WHERE builtin ORDER BY name;
SELECT descriptor->>'landmarks' = label('facerec-landmarks') AS names_its_landmarks
FROM facerec_models WHERE name = 'facerec-detector';
SELECT descriptor->>'detector' = label('facerec-detector') AS names_its_detector, descriptor->'flip' AS flip
FROM facerec_models WHERE name = 'facerec-embedder';
-- weights and descriptor are those of the files: they are the same models
SELECT m.name, sha256(data) = sha256 AS sha256 FROM facerec_models m JOIN file f ON m.name = 'facerec-' || replace(f.name, '.onnx', '') ORDER BY m.name;
SELECT face_model_load('mine', pg_temp.file('detector.onnx'), 'yunet', descriptor) FROM facerec_models WHERE name = 'facerec-detector';
SELECT face_model_load('mine', pg_temp.file('embedder.onnx'), 'mobilefacenet', descriptor) FROM facerec_models WHERE name = 'facerec-embedder';
SELECT face_model_load('facerec-embedder', pg_temp.file('embedder.onnx'), 'mobilefacenet', '{"margin": 1}');

-- ---- nothing to load, nothing to set ----------------------------------------
\c
\pset null '(null)'
CREATE FUNCTION pg_temp.file(text) RETURNS bytea LANGUAGE sql AS 'SELECT data FROM file WHERE name = $1';
SELECT face_model(face_embed(pg_temp.file('01-suyeri-1.jpg'))) = label('facerec-embedder') AS embeds, face_embed(pg_temp.file('noface-1.jpg'));
SHOW facerec.detector;
SHOW facerec.embedder;
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg')) = face_embed(pg_temp.file('01-suyeri-1.jpg'), 'facerec-embedder') AS same_by_name,
	face_embed(pg_temp.file('01-suyeri-1.jpg')) = face_embed(pg_temp.file('01-suyeri-1.jpg'), label('facerec-embedder')) AS same_by_label;
SELECT a.face_no, a.score = b.score AND a.box::text = b.box::text AND a.landmarks::text = b.landmarks::text AS same
FROM face_detect(pg_temp.file('01-suyeri-1.jpg')) a FULL JOIN face_detect(pg_temp.file('01-suyeri-1.jpg'), 'facerec-detector') b USING (face_no);
SELECT count(*) > 0 AS steps FROM face_model_plan('facerec-embedder', runs => 0);
-- without the files of packed weights, and with other kernels
SET facerec.weight_cache = off;
SET facerec.isa = 'generic';
SELECT face_dims(face_embed(pg_temp.file('01-suyeri-1.jpg')));
RESET facerec.isa;
RESET facerec.weight_cache;

-- ---- other models beside them -----------------------------------------------
-- an embedder that is loaded without a word about detectors uses the builtin one,
SELECT face_model_load('usual', pg_temp.file('patch-embedder.onnx'), 'mobilefacenet') IS NOT NULL AS loaded;
SELECT descriptor->>'detector' = label('facerec-detector') AS builtin_detector FROM facerec_models WHERE name = 'usual';
-- unless there is exactly one other
SELECT face_model_load('patches', pg_temp.file('patch-detector.onnx'), 'yunet') IS NOT NULL AS loaded;
SELECT face_model_load('people', pg_temp.file('patch-embedder.onnx'), 'mobilefacenet') IS NOT NULL AS loaded;
SELECT descriptor->>'detector' = label('patches') AS the_other_detector FROM facerec_models WHERE name = 'people';
-- an embedder keeps its own detector as long as facerec.detector has its default
SET facerec.embedder = 'people';
SELECT face_embed(pg_temp.file('ann-1.png')) = face_embed(pg_temp.file('ann-1.png'), 'people') AS own_detector;
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg')) IS NULL AS own_detector;
-- the label of the builtin one is not the default
SELECT set_config('facerec.detector', label('facerec-detector'), false) IS NOT NULL AS set;
SELECT face_embed(pg_temp.file('ann-1.png')) IS NULL AS builtin_detector;
SELECT face_dims(face_embed(pg_temp.file('01-suyeri-1.jpg'))) AS builtin_detector;
RESET facerec.detector;
RESET facerec.embedder;
SELECT face_model_drop('usual');
SELECT face_model_drop('people');
-- a detector without landmarks takes the builtin ones, unless it is told not to
SELECT face_model_load('boxes', pg_temp.file('patch-scrfd-boxes.onnx'), 'scrfd') IS NOT NULL AS loaded;
SELECT descriptor->>'landmarks' = label('facerec-landmarks') AS builtin_landmarks FROM facerec_models WHERE name = 'boxes';
SELECT count(landmarks) > 0 AS landmarks, count(*) = count(quality) AS quality FROM face_detect(pg_temp.file('ann-1.png'), 'boxes');
SELECT face_model_drop('boxes');

-- ---- nobody changes them ------------------------------------------------------
SELECT face_model_drop('facerec-embedder');
SELECT face_model_drop(label('facerec-detector')) IS NULL AS dropped;
UPDATE facerec_models SET license = 'none' WHERE builtin;
CREATE TEMP TABLE copy AS SELECT * FROM facerec_models WHERE builtin;
-- the same row again, as replication would bring it, is not needed
INSERT INTO facerec_models SELECT * FROM copy;
-- rows that say more, or other things, than the library
DELETE FROM facerec_models WHERE name = 'facerec-embedder';
INSERT INTO facerec_models SELECT 'other', fingerprint, role, preset, descriptor, dims, sha256, license, source, builtin, loaded_at, weights FROM copy WHERE role = 'embedder';
\set VERBOSITY terse
INSERT INTO facerec_models SELECT name, fingerprint, role, preset, descriptor, dims, sha256, license, source, builtin, loaded_at, ARRAY['\x00'::bytea] FROM copy WHERE role = 'embedder';
INSERT INTO facerec_models SELECT name, fingerprint, role, preset, descriptor, dims, sha256(''), license, source, builtin, loaded_at, weights FROM copy WHERE role = 'embedder';
INSERT INTO facerec_models SELECT name, '0badcafe', role, preset, descriptor, dims, sha256, license, source, builtin, loaded_at, weights FROM copy WHERE role = 'embedder';
INSERT INTO facerec_models SELECT name, fingerprint, role, preset, descriptor, dims, sha256, license, source, false, loaded_at, weights FROM copy WHERE role = 'embedder';
\set VERBOSITY default
-- what has gone comes back
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg'));
SET client_min_messages = warning;
SELECT facerec_models_install();
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg')) IS NOT NULL AS is_back;
SELECT count(*) - (SELECT count(*) FROM copy) AS missing FROM facerec_models m JOIN copy c USING (name, fingerprint, descriptor, sha256, builtin);
-- by replication they neither come nor go: the other node may have another library
SET session_replication_role = replica;
INSERT INTO facerec_models SELECT name || '-2', '0badcafe', role, preset, descriptor, dims, sha256('other weights'), license, source, builtin, loaded_at, weights FROM copy;
DELETE FROM facerec_models WHERE builtin;
SELECT count(*) FROM facerec_models WHERE builtin;
RESET session_replication_role;

-- ---- the same networks, loaded ------------------------------------------------------
-- of what a dump brings, loaded rows go before builtin ones of the same network or name
\pset tuples_only on
INSERT INTO facerec_models SELECT 'mine', c.fingerprint, role, preset, descriptor, dims, sha256, license, source, false, loaded_at, ARRAY[data] FROM copy c, file f WHERE c.name = 'facerec-embedder' AND f.name = 'embedder.onnx';
SELECT name, builtin FROM facerec_models ORDER BY name;
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg'), 'mine') IS NOT NULL, face_embed(pg_temp.file('01-suyeri-1.jpg'), 'facerec-embedder@' || fingerprint) IS NOT NULL FROM copy WHERE name = 'facerec-embedder';
-- and stay: what has to be added is not in their way
SELECT facerec_models_install();
SELECT name, builtin FROM facerec_models ORDER BY name;
DELETE FROM facerec_models WHERE name = 'mine';
DELETE FROM facerec_models WHERE name = 'facerec-landmarks';
SELECT face_model_load('points', pg_temp.file('landmarks.onnx'), 'landmarks-5', descriptor) IS NOT NULL FROM copy WHERE name = 'facerec-landmarks';
SELECT facerec_models_install();
SELECT name, builtin FROM facerec_models ORDER BY name;
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg')) IS NOT NULL;
DELETE FROM facerec_models WHERE name = 'points';
SELECT facerec_models_install();
CREATE TEMP TABLE namesake AS SELECT 'facerec-detector' AS name, m.fingerprint, role, preset, descriptor, dims, sha256, license, source, builtin, loaded_at, weights FROM facerec_models m WHERE name = 'patches';
SELECT face_model_drop('patches');
INSERT INTO facerec_models SELECT * FROM namesake;
SELECT name, builtin FROM facerec_models ORDER BY name;
DELETE FROM facerec_models;
-- without them there is nothing to fall back to
SET client_min_messages = notice;
SELECT face_model_load('boxes', pg_temp.file('patch-scrfd-boxes.onnx'), 'scrfd', '{"detection_threshold": 0.4}') IS NOT NULL;
SELECT face_model_drop('boxes');
SELECT face_model_load('usual', pg_temp.file('patch-embedder.onnx'), 'mobilefacenet') IS NOT NULL;
SELECT face_model_drop('usual');
SET client_min_messages = warning;
SELECT facerec_models_install();
SELECT face_model_load('patches', pg_temp.file('patch-detector.onnx'), 'yunet') IS NOT NULL;
\pset tuples_only off

-- ---- a library with other networks ------------------------------------------------
-- rows as another version would have left them
ALTER TABLE facerec_models DISABLE TRIGGER facerec_models_guard;
UPDATE facerec_models SET sha256 = sha256('other weights'),
	fingerprint = CASE role WHEN 'detector' THEN '0badcafe' WHEN 'embedder' THEN '0badf00d' ELSE '0badbeef' END,
	descriptor = descriptor || CASE role WHEN 'detector' THEN '{"landmarks": "facerec-landmarks@0badbeef"}' WHEN 'embedder' THEN '{"detector": "facerec-detector@0badcafe"}' ELSE '{}' END::jsonb
WHERE builtin;
-- and one that this version does not have at all
INSERT INTO facerec_models SELECT 'facerec-former', '0bad0bad', role, preset, descriptor, dims, sha256('former weights'), license, source, builtin, loaded_at, weights FROM copy WHERE role = 'landmarks';
ALTER TABLE facerec_models ENABLE ALWAYS TRIGGER facerec_models_guard;
SELECT face_model_load('people', pg_temp.file('patch-embedder.onnx'), 'mobilefacenet', '{"detector": "facerec-detector"}') IS NOT NULL AS loaded;
-- one that uses the landmarks by way of another one
SELECT face_model_load('refined', pg_temp.file('patch-detector.onnx'), 'yunet', '{"landmarks": "facerec-landmarks"}') IS NOT NULL AS loaded;
SELECT face_model_load('people-2', pg_temp.file('patch-embedder.onnx'), 'mobilefacenet', '{"detector": "refined"}') IS NOT NULL AS loaded;
\c
SET client_min_messages = warning;
\pset null '(null)'
CREATE FUNCTION pg_temp.file(text) RETURNS bytea LANGUAGE sql AS 'SELECT data FROM file WHERE name = $1';
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg'));
SELECT count(*) FROM face_detect(pg_temp.file('01-suyeri-1.jpg'));
SELECT facerec_models_install();
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg')) IS NOT NULL AS works;
SELECT m.name, sha256(data) = sha256 AS sha256 FROM facerec_models m LEFT JOIN file f ON m.name = 'facerec-' || replace(f.name, '.onnx', '') WHERE builtin ORDER BY m.name;
\set VERBOSITY terse
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg'), 'facerec-embedder@0badf00d');
SELECT face_embed(pg_temp.file('01-suyeri-1.jpg'), 'people');
\set VERBOSITY default
-- a dump brings what does not work here
CREATE TEMP TABLE dumped AS SELECT * FROM facerec_models WHERE name = 'people';
SELECT face_model_drop('people');
INSERT INTO facerec_models SELECT * FROM dumped;
SELECT face_model_drop('people');
SELECT face_model_drop('people-2');
SELECT face_model_drop('refined');
SELECT face_model_drop('patches');
-- a model of the user's own that has the name stays
DELETE FROM facerec_models WHERE builtin;
SELECT face_model_load('facerec-detector', pg_temp.file('patch-detector.onnx'), 'yunet') IS NOT NULL AS loaded;
SELECT facerec_models_install();
SELECT face_model_drop('facerec-detector');
SELECT facerec_models_install();

-- ---- privileges -------------------------------------------------------------------
CREATE ROLE regress_face_reader;
GRANT SELECT ON file TO regress_face_reader;
SET ROLE regress_face_reader;
SELECT facerec_models_install();
SELECT name, license IS NOT NULL AS license FROM facerec_models WHERE builtin ORDER BY name;
SELECT face_dims(face_embed(data)) FROM file WHERE name = '01-suyeri-1.jpg';
RESET ROLE;
DROP TABLE file;
DROP FUNCTION label(text);
DROP ROLE regress_face_reader;
SELECT count(*) FROM facerec_models WHERE NOT builtin;
