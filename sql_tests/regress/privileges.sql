-- Who may do what: everybody uses models, the owner lets others load them,
-- nobody else reads their weights.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
CREATE ROLE regress_face_user;
CREATE ROLE regress_face_loader;
CREATE TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/ann-1.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TABLE file AS SELECT name, decode(base64, 'base64') AS data FROM input;
GRANT SELECT ON file TO regress_face_user, regress_face_loader;
SELECT face_model_load('patches', data, 'yunet') IS NOT NULL AS detector FROM file WHERE name = 'models/patch-detector.onnx';

-- a plain user
SET ROLE regress_face_user;
SELECT name, role, preset, dims, license, builtin FROM facerec_models WHERE NOT builtin;
SELECT weights FROM facerec_models;
SELECT * FROM facerec_models;
SELECT count(*) FROM file, face_detect(data, 'patches') WHERE name = 'patches/ann-1.png';
SELECT face_model_load('mine', data, 'mobilefacenet') FROM file WHERE name = 'models/patch-embedder.onnx';
SELECT face_model_load('mine', ARRAY[data], 'mobilefacenet') FROM file WHERE name = 'models/patch-embedder.onnx';
SELECT face_model_drop('patches');
INSERT INTO facerec_models (name) VALUES ('mine');
DELETE FROM facerec_models;
UPDATE facerec_models SET license = '';
TRUNCATE facerec_models;
SET facerec.max_image_pixels = 1e9;
RESET ROLE;

-- the guard of facerec_models reads columns by name: it is for that table only
CREATE TABLE lookalike (name text, preset text, role text, fingerprint text, weights int, dims int, descriptor int, sha256 int);
GRANT ALL ON lookalike TO regress_face_user;
ALTER TABLE lookalike OWNER TO regress_face_user;
SET ROLE regress_face_user;
CREATE TRIGGER guard BEFORE INSERT ON lookalike FOR EACH ROW EXECUTE FUNCTION facerec_models_guard();
RESET ROLE;
CREATE TRIGGER guard BEFORE INSERT ON lookalike FOR EACH ROW EXECUTE FUNCTION facerec_models_guard();
INSERT INTO lookalike VALUES ('abc', 'yunet', 'detector', '00000000', 12345, 1, 12345, 12345);
CREATE TRIGGER guard_2 BEFORE INSERT ON lookalike FOR EACH ROW EXECUTE FUNCTION facerec_thresholds_guard();
DROP TRIGGER guard ON lookalike;
INSERT INTO lookalike VALUES ('abc', 'yunet', 'detector', '00000000', 12345, 1, 12345, 12345);
DROP TABLE lookalike;

-- a user who may load
GRANT EXECUTE ON FUNCTION face_model_load(text, bytea, text, jsonb, text), face_model_drop(text) TO regress_face_loader;
SET ROLE regress_face_loader;
-- names of the user's own do not get in the way
CREATE TEMP TABLE facerec_models (name text, role text);
SET search_path = pg_temp, public;
CREATE FUNCTION pg_temp.min(text) RETURNS text LANGUAGE sql AS $$ SELECT 'trap'::text $$;
SELECT public.face_model_load('mine', data, 'mobilefacenet') IS NOT NULL AS loaded FROM file WHERE name = 'models/patch-embedder.onnx';
SELECT count(*) FROM pg_temp.facerec_models;
SELECT name FROM public.facerec_models WHERE NOT builtin ORDER BY name;
SELECT public.face_dims(public.face_embed(data, 'mine')) FROM file WHERE name = 'patches/ann-1.png';
SELECT current_user;
SELECT public.face_model_drop('mine');
RESET search_path;
RESET ROLE;

-- only the owner of the table may add a trigger that runs with its rights
SET ROLE regress_face_loader;
CREATE TRIGGER spy BEFORE INSERT ON public.facerec_models FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
RESET ROLE;

DROP TABLE pg_temp.facerec_models;
DROP FUNCTION pg_temp.min;
SELECT face_model_drop('patches');
REVOKE EXECUTE ON FUNCTION face_model_load(text, bytea, text, jsonb, text), face_model_drop(text) FROM regress_face_loader;
DROP TABLE input, file;
DROP ROLE regress_face_user;
DROP ROLE regress_face_loader;
