-- facerec.on_error = ignore: unreadable images are warnings, nothing else is.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/*.png images/small.gif images/bomb.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT name, decode(base64, 'base64') AS data FROM input;
SELECT face_model_load('patches', data, 'yunet') IS NOT NULL AS detector FROM file WHERE name = 'models/patch-detector.onnx';
SELECT face_model_load('people', data, 'mobilefacenet') IS NOT NULL AS embedder FROM file WHERE name = 'models/patch-embedder.onnx';
SET facerec.detector = 'patches';
SET facerec.embedder = 'people';
CREATE TEMP TABLE photo (id int, data bytea);
INSERT INTO photo SELECT 1, data FROM file WHERE name = 'patches/ann-1.png';
INSERT INTO photo SELECT 2, substr(data, 1, 100) FROM file WHERE name = 'patches/ann-1.png';
INSERT INTO photo SELECT 3, data FROM file WHERE name = 'images/small.gif';
INSERT INTO photo SELECT 4, data FROM file WHERE name = 'images/bomb.png';
INSERT INTO photo VALUES (5, ''), (6, NULL);
INSERT INTO photo SELECT 7, data FROM file WHERE name = 'patches/nobody.png';
INSERT INTO photo SELECT 8, data FROM file WHERE name = 'patches/bob-1.png';

SHOW facerec.on_error;
CREATE TEMP TABLE face AS SELECT id, face_embed(data) AS embedding FROM photo ORDER BY id;
SET facerec.on_error = 'ignore';
CREATE TEMP TABLE face AS SELECT id, face_embed(data) AS embedding FROM photo ORDER BY id;
SELECT id, face_dims(embedding) FROM face ORDER BY id;
SELECT id, face_no FROM photo, face_embed_all(data) WHERE id IN (1, 2, 8) ORDER BY id;
SELECT id, face_no FROM photo, face_detect(data) WHERE id IN (2, 3, 8) ORDER BY id;
SELECT face_embed(data, 'people') IS NULL AS by_model FROM photo WHERE id = 2;
SELECT face_embed(data, box '(0,0),(9,9)') IS NULL AS region FROM photo WHERE id = 3;
SELECT face_embed_aligned(data) IS NULL AS aligned FROM photo WHERE id = 4;
SELECT face_crop(data, '(0,0),(9,9)') IS NULL AS crop, face_draw(data, '{}') IS NULL AS draw FROM photo WHERE id = 2;
SELECT face_align(data, '{"(1,1)","(2,1)","(1,2)","(1,3)","(2,3)"}') IS NULL AS align FROM photo WHERE id = 3;
-- one warning per photo, not per row
SELECT count(face_embed(data)) FROM photo, generate_series(1, 3) WHERE id = 2;

-- which ones, and why: no face is not the same as no picture
SELECT id, face_image_error(data) FROM photo JOIN face USING (id) WHERE embedding IS NULL ORDER BY id;
-- the message says by which bytes to find the row
\set SHOW_CONTEXT always
SELECT face_embed(data) IS NULL AS ignored FROM photo WHERE id = 3;
\set SHOW_CONTEXT errors
SELECT id FROM photo WHERE sha256(data) = '\x36636a3668db64f6c0deee60e3c36d3fc99c939e46c94cf47311e41dc257c582';

-- not the image's fault
SELECT face_embed(data, 'nobody') FROM photo WHERE id = 2;
SELECT face_embed_aligned(data) FROM photo WHERE id = 1;
SELECT face_crop(data, '(900,900),(990,990)') FROM photo WHERE id = 1;
SET facerec.max_inference_memory = '1MB';
\set VERBOSITY terse
SELECT face_embed(data) FROM photo WHERE id = 1;
\set VERBOSITY default
RESET facerec.max_inference_memory;
SELECT face_model_load('bad', '\x00'::bytea, 'yunet');
RESET facerec.on_error;
SELECT face_embed(data) FROM photo WHERE id = 2;
SELECT face_model_drop('people'), face_model_drop('patches');
