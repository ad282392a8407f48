-- face_model_quantize: what it gives, what it refuses, who may use it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
CREATE ROLE regress_face_loader;
\pset null '(null)'
CREATE TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/*.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TABLE file AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
CREATE TABLE photo AS
	SELECT row_number() OVER (ORDER BY n, name) AS id, name, data FROM file, generate_series(1, 12) n WHERE name ~ '^(ann|bob|cid)-';
CREATE FUNCTION load(text, text, text) RETURNS boolean LANGUAGE sql AS
	$$ SELECT face_model_load($1, data, $3) IS NOT NULL FROM file WHERE name = $2 $$;
SELECT load('patches', 'patch-detector.onnx', 'yunet') AS detector, load('people', 'patch-embedder.onnx', 'mobilefacenet') AS embedder;

-- an embedder; the cosine is told in a NOTICE
SELECT regexp_replace(face_model_quantize('people', 'people-int8', 'SELECT data FROM photo ORDER BY id'), '@[0-9a-f]{8}$', '@...');
SELECT n.role, n.preset, n.dims, n.license, n.builtin, n.source = '8-bit variant of people@' || o.fingerprint AS source,
	n.fingerprint <> o.fingerprint AS is_another, n.sha256 <> o.sha256 AS other_file
FROM facerec_models n, facerec_models o WHERE n.name = 'people-int8' AND o.name = 'people';
SELECT key, CASE WHEN key = 'int8_of' THEN to_jsonb(value #>> '{}' = (SELECT fingerprint FROM facerec_models WHERE name = 'people'))
	WHEN key ~ 'cosine' THEN to_jsonb(value::float8 BETWEEN 0.99 AND 1) ELSE value END AS value
FROM facerec_models, jsonb_each(descriptor) WHERE name = 'people-int8' AND key ~ '^int8' ORDER BY key COLLATE "C";
SELECT n.descriptor @> o.descriptor AS otherwise_the_same FROM facerec_models n, facerec_models o WHERE n.name = 'people-int8' AND o.name = 'people';
-- it embeds as the original does
SELECT name, (SELECT sum(x * y) FROM unnest(face_embed(data, 'people')::real[], face_embed(data, 'people-int8')::real[]) u(x, y)) > 0.99 AS agrees
FROM file WHERE name ~ '^(ann|bob|cid)-' ORDER BY name;
-- but is another model
DO $$ BEGIN PERFORM face_embed(data, 'people') <=> face_embed(data, 'people-int8') FROM file WHERE name = 'ann-1.png';
EXCEPTION WHEN OTHERS THEN RAISE WARNING '%', SQLERRM; END $$;
-- a name is taken once
SELECT face_model_quantize('people', 'people-int8', 'SELECT data FROM photo ORDER BY id');
-- the same photos give the same model
CREATE TABLE kept AS SELECT fingerprint FROM facerec_models WHERE name = 'people-int8';
SELECT face_model_drop('people-int8');
BEGIN;
SELECT face_model_quantize('people', 'again', 'SELECT data FROM photo ORDER BY id') = 'again@' || fingerprint AS same FROM kept;
ROLLBACK;
SELECT count(*) FROM facerec_models WHERE name = 'again';

-- a detector reads whole photos
SET client_min_messages = error;
SELECT face_model_quantize('patches', 'patches-int8', 'SELECT data FROM photo ORDER BY id', min_cosine => 0.9) IS NOT NULL AS made;
SET client_min_messages = warning;
SELECT a.count = b.count AS same_faces FROM (SELECT count(*) FROM file, face_detect(data, 'patches') WHERE name = 'party.png') a,
	(SELECT count(*) FROM file, face_detect(data, 'patches-int8') WHERE name = 'party.png') b;
SELECT face_model_drop('patches-int8');

-- aligned crops
SELECT face_model_quantize('people', 'crops', $$SELECT data || int4send(n) FROM file, generate_series(1, 40) n WHERE name = 'crop.png'$$, aligned => true) IS NOT NULL AS made;
SELECT face_model_drop('crops');
SELECT face_model_quantize('people', 'crops', 'SELECT data FROM photo', aligned => true);
SELECT face_model_quantize('patches', 'crops', 'SELECT data FROM photo', aligned => true);

-- layers that stay
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo', exclude => '{nothing}');
-- a wrong name is refused before the query runs
\set VERBOSITY sqlstate
SELECT face_model_quantize('people', 'x', 'nonsense', exclude => '{nothing}');
\set VERBOSITY default
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo', exclude => '{NULL}');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo', min_cosine => 1);

-- few photos
SELECT face_model_quantize('people', 'few', 'SELECT data FROM photo WHERE id <= 12') IS NOT NULL AS made;
SELECT descriptor->'int8_photos' AS photos, descriptor->'int8_samples' AS samples FROM facerec_models WHERE name = 'few';
SELECT face_model_drop('few');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo WHERE id <= 9');
SELECT face_model_quantize('people', 'fewest', 'SELECT data FROM photo WHERE id <= 10') IS NOT NULL AS made;
SELECT face_model_drop('fewest');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo WHERE false');
SELECT face_model_quantize('people', 'x', $$SELECT data FROM file, generate_series(1, 100) WHERE name = 'nobody.png'$$);
SELECT face_model_quantize('people', 'x', 'SELECT NULL::bytea FROM photo');
-- copies of a photo are on one side: they calibrate or measure
SELECT face_model_quantize('people', 'x', $$SELECT data FROM file, generate_series(1, 40) WHERE name = 'ann-1.png'$$);
-- the query is read only as far as needed
CREATE SEQUENCE asked;
SELECT face_model_quantize('people', 'some', $$SELECT data FROM photo WHERE nextval('asked') > 0$$, max_faces => 32) IS NOT NULL AS made;
SELECT last_value FROM asked;
SELECT face_model_drop('some');

-- photos that cannot be read
SELECT face_model_quantize('people', 'x', $$SELECT 'no photo'::bytea FROM photo$$);
SET facerec.on_error = ignore;
SELECT face_model_quantize('people', 'most', $$SELECT data FROM photo UNION ALL SELECT 'no photo'::bytea$$) IS NOT NULL AS made;
RESET facerec.on_error;
SELECT face_model_drop('most');

-- queries
SELECT face_model_quantize('people', 'x', 'nonsense');
SELECT face_model_quantize('people', 'x', '');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo; SELECT data FROM photo');
SELECT face_model_quantize('people', 'x', 'DELETE FROM photo RETURNING data');
SELECT face_model_quantize('people', 'x', 'WITH gone AS (DELETE FROM photo RETURNING data) SELECT data FROM gone');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo FOR UPDATE');
SELECT face_model_quantize('people', 'x', 'VACUUM photo');
SELECT face_model_quantize('people', 'x', 'SELECT data INTO other FROM photo');
SELECT face_model_quantize('people', 'x', 'SELECT name FROM photo');
SELECT face_model_quantize('people', 'x', 'SELECT FROM photo');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM nowhere');
SELECT face_model_quantize('people', 'x', 'SELECT $1::bytea');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo WHERE 1 / (id - 3) < 2');
SELECT count(*) FROM photo;

-- arguments
SELECT face_model_quantize(NULL, 'x', 'SELECT data FROM photo');
SELECT face_model_quantize('people', NULL, 'SELECT data FROM photo');
SELECT face_model_quantize('people', 'x', NULL);
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo', min_cosine => NULL);
SELECT face_model_quantize('nobody', 'x', 'SELECT data FROM photo');
SELECT face_model_quantize('people', 'patches', 'SELECT data FROM photo');
SELECT face_model_quantize('people', 'a@b', 'SELECT data FROM photo');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo', min_cosine => 1.01);
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo', min_cosine => 'NaN');
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo', max_faces => 9);
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo', max_faces => 2000000000);

-- models
SELECT face_model_quantize('people', 'twice', 'SELECT data FROM photo') IS NOT NULL AS made;
SELECT face_model_quantize('twice', 'x', 'SELECT data FROM photo');
SELECT face_model_drop('twice');
SELECT face_model_load('mtcnn', ARRAY[p.data, r.data, o.data], 'mtcnn') IS NOT NULL AS loaded
FROM file p, file r, file o WHERE p.name = 'patch-mtcnn-p.onnx' AND r.name = 'patch-mtcnn-r.onnx' AND o.name = 'patch-mtcnn-o.onnx';
SELECT face_model_quantize('mtcnn', 'x', 'SELECT data FROM photo');
SELECT face_model_drop('mtcnn');
SELECT load('points', 'patch-landmarks.onnx', 'omz-landmarks-0009') AS landmarks;
SELECT face_model_quantize('points', 'x', 'SELECT data FROM photo');
SELECT face_model_drop('points');

-- an origin can be claimed, but not in any form, nor for a float network
SELECT face_model_load('claim', data, 'mobilefacenet', '{"int8_of": "1f3c9a7"}') FROM file WHERE name = 'patch-embedder-b.onnx';
SELECT face_model_load('claim', data, 'mobilefacenet', '{"int8_cosine": 2}') FROM file WHERE name = 'patch-embedder-b.onnx';

SELECT face_model_load('claim', data, 'mobilefacenet', '{"int8_of": "1f3c9a7e"}') FROM file WHERE name = 'patch-embedder-b.onnx';
-- a transaction that may not write says so at once
BEGIN READ ONLY;
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo');
ROLLBACK;

-- rights: to quantise at all, and to see the photos
SET ROLE regress_face_loader;
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo');
RESET ROLE;
GRANT EXECUTE ON FUNCTION face_model_quantize(text, text, text, boolean, float8, text[], int) TO regress_face_loader;
SET ROLE regress_face_loader;
SELECT face_model_quantize('people', 'x', 'SELECT data FROM photo');
SELECT face_model_quantize('people', 'x', 'SELECT unnest(weights) FROM facerec_models');
RESET ROLE;
GRANT SELECT ON photo TO regress_face_loader;
SET ROLE regress_face_loader;
-- names of the user's own do not get in the way
CREATE TEMP TABLE facerec_models (name text, role text);
CREATE FUNCTION pg_temp.min(text) RETURNS text LANGUAGE sql AS $$ SELECT 'trap'::text $$;
SET search_path = pg_temp, public;
SELECT public.face_model_quantize('people', 'theirs', 'SELECT data FROM photo ORDER BY id') IS NOT NULL AS made;
SELECT current_user, current_setting('search_path') AS search_path;
SELECT count(*) FROM pg_temp.facerec_models;
RESET search_path;
RESET ROLE;
DROP TABLE pg_temp.facerec_models;
DROP FUNCTION pg_temp.min;
SELECT name FROM facerec_models WHERE NOT builtin ORDER BY name;

SELECT face_model_drop('theirs');
SELECT face_model_drop('people');
SELECT face_model_drop('patches');
REVOKE EXECUTE ON FUNCTION face_model_quantize(text, text, text, boolean, float8, text[], int) FROM regress_face_loader;
DROP TABLE input, file, photo, kept;
DROP FUNCTION load(text, text, text);
DROP SEQUENCE asked;
DROP ROLE regress_face_loader;
