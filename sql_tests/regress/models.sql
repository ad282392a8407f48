-- The model catalog: loading, refusing, dropping, visibility.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/ann-1.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS
	SELECT (SELECT decode(base64, 'base64') FROM input WHERE name = 'models/patch-detector.onnx') AS detector,
		(SELECT decode(base64, 'base64') FROM input WHERE name = 'models/patch-embedder.onnx') AS embedder,
		(SELECT decode(base64, 'base64') FROM input WHERE name = 'models/patch-embedder-b.onnx') AS embedder_b,
		(SELECT decode(base64, 'base64') FROM input WHERE name = 'patches/ann-1.png') AS ann;

-- an embedder whose descriptor says so has no detector
SELECT regexp_replace(face_model_load('lonely', embedder, 'mobilefacenet', '{"detector": null}'), '@[0-9a-f]{8}$', '@...') FROM file;
SELECT descriptor->'detector' AS detector FROM facerec_models WHERE name = 'lonely';
SELECT face_embed(ann, 'lonely') FROM file;
SET facerec.embedder = 'lonely';
SET facerec.detector = '';
SELECT face_embed(ann) FROM file;
SELECT face_detect(ann) FROM file;
SET facerec.embedder = '';
SELECT face_embed(ann) FROM file;
RESET facerec.embedder;
RESET facerec.detector;
SELECT face_model_drop('lonely');

-- loading
SELECT regexp_replace(face_model_load('patches', detector, 'yunet'), '@[0-9a-f]{8}$', '@...') FROM file;
SELECT regexp_replace(face_model_load(name => 'people', weights => embedder, preset => 'mobilefacenet',
	descriptor => '{"flip": true, "detection_threshold": 0.7}', license => 'PostgreSQL'), '@[0-9a-f]{8}$', '@...') FROM file;
SELECT name, role, preset, dims, license, builtin, weights IS NOT NULL AS has_weights,
	sha256 = (SELECT sha256(CASE name WHEN 'patches' THEN detector ELSE embedder END) FROM file) AS sha256,
	fingerprint ~ '^[0-9a-f]{8}$' AS fingerprint
FROM facerec_models WHERE NOT builtin ORDER BY name;
-- what is stored is complete
SELECT key, value FROM facerec_models, jsonb_each(descriptor) WHERE name = 'patches' ORDER BY key COLLATE "C";
SELECT key, CASE key WHEN 'detector' THEN to_jsonb(regexp_replace(value #>> '{}', '@[0-9a-f]{8}$', '@...')) ELSE value END AS value
FROM facerec_models, jsonb_each(descriptor) WHERE name = 'people' ORDER BY key COLLATE "C";
SELECT descriptor->>'detector' = (SELECT name || '@' || fingerprint FROM facerec_models WHERE name = 'patches') AS knows_its_detector
FROM facerec_models WHERE name = 'people';

-- in pieces; the pieces do not matter
SELECT regexp_replace(face_model_load('pieces', ARRAY[substr(embedder_b, 1, 1000), '', substr(embedder_b, 1001)], 'mobilefacenet'),
	'@[0-9a-f]{8}$', '@...') FROM file;
SELECT sha256 = sha256(embedder_b) AS same_file FROM facerec_models, file WHERE name = 'pieces';
SELECT face_model_load('whole', embedder_b, 'mobilefacenet') FROM file;
SELECT face_model_load('holes', ARRAY[substr(embedder_b, 1, 1000), NULL], 'mobilefacenet') FROM file;

-- twice
SELECT face_model_load('patches', detector, 'yunet') = (SELECT name || '@' || fingerprint FROM facerec_models WHERE name = 'patches') AS same_label FROM file;
SELECT face_model_load('people', embedder, 'mobilefacenet') FROM file;
-- licenses
SELECT regexp_replace(face_model_load('research', embedder_b, 'mobilefacenet', '{"flip": true}', 'Non-commercial research only'), '@[0-9a-f]{8}$', '@...') FROM file;
SELECT face_model_drop('research');
-- weights in half precision are another model; the default is not written
SELECT regexp_replace(face_model_load('halves', embedder_b, 'mobilefacenet', '{"weight_storage": "fp16"}'), '@[0-9a-f]{8}$', '@...') FROM file;
SELECT regexp_replace(face_model_load('floats', embedder_b, 'mobilefacenet', '{"weight_storage": "fp32"}'), '@[0-9a-f]{8}$', '@...') FROM file;
SELECT name, descriptor->>'weight_storage' AS weight_storage, count(*) OVER (PARTITION BY fingerprint) AS same
FROM facerec_models WHERE name IN ('halves', 'floats', 'pieces') ORDER BY name;
SELECT face_model_drop('halves');

-- arguments
SELECT face_model_load(NULL, embedder, 'mobilefacenet') FROM file;
SELECT face_model_load('x', NULL::bytea, 'mobilefacenet');
SELECT face_model_load('x', embedder, NULL) FROM file;
SELECT face_model_load('', embedder, 'mobilefacenet') FROM file;
SELECT face_model_load('a@b', embedder, 'mobilefacenet') FROM file;
SELECT face_model_load(repeat('x', 64), embedder, 'mobilefacenet') FROM file;
SELECT face_model_load('x', embedder, 'facenet9000') FROM file;
SELECT face_model_load('x', embedder, 'yunet') FROM file;
SELECT face_model_load('x', detector, 'mobilefacenet') FROM file;
SELECT face_model_load('x', ''::bytea, 'yunet');

-- descriptors
SELECT face_model_load('x', embedder, 'mobilefacenet', '[]') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"colour": "rgb"}') FROM file;
SELECT face_model_load('x', detector, 'yunet', '{"flip": true}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"color": "red"}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"mean": [1, 2]}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"weight_storage": "int8"}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"weight_storage": 16}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"mean": {"r": 1}}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"mean": "127.5"}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"scale": 0}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"input_size": 112.5}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"max_faces": 0}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"flip": 1}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"alignment": "none"}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"detection_threshold": 1e400}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"detector": "nobody"}') FROM file;
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"detector": "people"}') FROM file;
\set VERBOSITY terse
SELECT face_model_load('x', embedder, 'mobilefacenet', '{"detector": "patches@00000000"}') FROM file;
\set VERBOSITY default
SELECT count(*) FROM facerec_models WHERE NOT builtin;

-- names in calls
SELECT face_dims(face_embed(ann, 'people')) AS dims, face_embed(ann, 'people') IS NOT NULL AS by_name,
	face_embed(ann, (SELECT name || '@' || fingerprint FROM facerec_models WHERE name = 'people')) = face_embed(ann, 'people') AS by_label
FROM file;
SELECT face_model(face_embed(ann, 'people')) = (SELECT name || '@' || fingerprint FROM facerec_models WHERE name = 'people') AS label FROM file;
SELECT face_embed(ann, 'nobody') FROM file;
SELECT face_embed(ann, 'nobody@01234567') FROM file;
SELECT face_embed(ann, 'patches') FROM file;
SELECT count(*) FROM file, face_detect(ann, 'people');
\set VERBOSITY terse
SELECT face_embed(ann, 'people@00000000') FROM file;
\set VERBOSITY default

-- rows are immutable and honest
UPDATE facerec_models SET license = 'none' WHERE name = 'people';
CREATE TEMP TABLE copy AS SELECT * FROM facerec_models WHERE name = 'pieces';
SELECT face_model_drop('pieces');
INSERT INTO facerec_models SELECT name, fingerprint, role, preset, descriptor, dims, sha256(''), license, source, builtin, loaded_at, weights FROM copy;
\set VERBOSITY terse
INSERT INTO facerec_models SELECT name, '00000001', role, preset, descriptor, dims, sha256, license, source, builtin, loaded_at, weights FROM copy;
INSERT INTO facerec_models SELECT name, fingerprint, role, preset, descriptor || '{"flip": true}', dims, sha256, license, source, builtin, loaded_at, weights FROM copy;
INSERT INTO facerec_models SELECT name, fingerprint, role, preset, descriptor, 99, sha256, license, source, builtin, loaded_at, weights FROM copy;
INSERT INTO facerec_models SELECT name, fingerprint, role, preset, descriptor, dims, sha256, license, source, builtin, loaded_at, weights || ''::bytea || '\x00'::bytea FROM copy;
INSERT INTO facerec_models SELECT 'a b', fingerprint, role, preset, descriptor, dims, sha256, license, source, builtin, loaded_at, weights FROM copy;
\set VERBOSITY default
INSERT INTO facerec_models SELECT name, fingerprint, 'detector', preset, descriptor, dims, sha256, license, source, builtin, loaded_at, weights FROM copy;
INSERT INTO facerec_models SELECT * FROM copy;
SELECT face_embed(ann, 'pieces') IS NOT NULL AS is_back FROM file;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'facerec_models'::regclass AND NOT tgisinternal;

-- a detector that is needed stays
SELECT face_model_drop('patches');
SELECT face_model_drop('nobody');
SELECT face_model_drop(NULL);

-- transactions: what a snapshot sees is what is used
CREATE TEMP TABLE seen (step text, embedding faceembedding);
INSERT INTO seen SELECT 'first', face_embed(ann, 'pieces') FROM file;
BEGIN;
SELECT face_model_drop('pieces');
SAVEPOINT gone;
SELECT face_embed(ann, 'pieces') FROM file;
ROLLBACK TO gone;
SELECT regexp_replace(face_model_load('pieces', embedder, 'mobilefacenet'), '@[0-9a-f]{8}$', '@...') FROM file;
INSERT INTO seen SELECT 'other model', face_embed(ann, 'pieces') FROM file;
SELECT face_dims(embedding) FROM seen WHERE step = 'other model';
SAVEPOINT other;
SELECT face_model_drop('pieces');
SELECT regexp_replace(face_model_load('pieces', embedder_b, 'mobilefacenet', '{"flip": true}'), '@[0-9a-f]{8}$', '@...') FROM file;
INSERT INTO seen SELECT 'third model', face_embed(ann, 'pieces') FROM file;
SELECT face_dims(embedding) FROM seen WHERE step = 'third model';
ROLLBACK TO other;
INSERT INTO seen SELECT 'other again', face_embed(ann, 'pieces') FROM file;
SELECT a.embedding = b.embedding AS same FROM seen a, seen b WHERE a.step = 'other model' AND b.step = 'other again';
ROLLBACK;
INSERT INTO seen SELECT 'first again', face_embed(ann, 'pieces') FROM file;
SELECT a.embedding = b.embedding AS same FROM seen a, seen b WHERE a.step = 'first' AND b.step = 'first again';

-- a prepared statement does not keep a dropped model
PREPARE embed AS SELECT face_dims(face_embed(ann, 'pieces')) FROM file;
EXECUTE embed;
SELECT face_model_drop('pieces');
EXECUTE embed;
SELECT regexp_replace(face_model_load('pieces', embedder, 'mobilefacenet'), '@[0-9a-f]{8}$', '@...') FROM file;
EXECUTE embed;
DEALLOCATE embed;

-- PL/pgSQL sees what its own block has loaded and dropped
DO $$
DECLARE
	photo bytea := (SELECT ann FROM file);
	found faceembedding;
BEGIN
	PERFORM face_model_load('block', embedder, 'mobilefacenet', '{"flip": true}') FROM file;
	found := face_embed(photo, 'block');
	RAISE NOTICE 'loaded and used: % dimensions', face_dims(found);
	PERFORM face_model_drop('block');
	found := face_embed(photo, 'block');
END $$;

-- the other backend sees it, too
\c -
SELECT count(*) FROM facerec_models WHERE NOT builtin;
SELECT face_model_drop(name) FROM facerec_models WHERE role = 'embedder' AND NOT builtin ORDER BY name;
SELECT face_model_drop('patches');
SELECT count(*) FROM facerec_models WHERE NOT builtin;
