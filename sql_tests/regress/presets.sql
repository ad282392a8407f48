-- Families of detectors and embedders: loading, recognising, refusing.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/party.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT regexp_replace(name, '^.*/(patch-)?(.*)\..*$', '\2') AS name, decode(base64, 'base64') AS data FROM input;
CREATE FUNCTION pg_temp.file(text) RETURNS bytea LANGUAGE sql AS 'SELECT data FROM file WHERE name = $1';
CREATE FUNCTION pg_temp.mtcnn() RETURNS bytea[] LANGUAGE sql AS $$ SELECT ARRAY[pg_temp.file('mtcnn-p'), pg_temp.file('mtcnn-r'), pg_temp.file('mtcnn-o')] $$;
-- loads; shows the label without its fingerprint
CREATE FUNCTION pg_temp.load(name text, file text, preset text DEFAULT NULL, descriptor jsonb DEFAULT NULL) RETURNS text LANGUAGE sql AS
	$$ SELECT regexp_replace(face_model_load($1, pg_temp.file($2), $3, $4), '@[0-9a-f]{8}$', '@...') $$;

-- detectors that tell of the same patches in different ways
SELECT pg_temp.load('yunet', 'detector');
SELECT pg_temp.load('scrfd', 'scrfd');
SELECT pg_temp.load('retinaface', 'retinaface');
SELECT pg_temp.load('boxes', 'scrfd-boxes', NULL, '{"landmarks": null}');
SELECT pg_temp.load('points', 'landmarks');
SELECT pg_temp.load('points', 'landmarks', 'omz-landmarks-0009');
SELECT pg_temp.load('boxes and points', 'scrfd-boxes', 'scrfd', '{"detection_threshold": 0.4}');
SELECT pg_temp.load('boxes-and-points', 'scrfd-boxes', 'scrfd', '{"detection_threshold": 0.4}');
SELECT name, role, preset, dims, regexp_replace(descriptor->>'landmarks', '@[0-9a-f]{8}$', '@...') AS landmarks FROM facerec_models WHERE NOT builtin ORDER BY name;
CREATE TEMP TABLE detected AS
	SELECT m.name, d.* FROM facerec_models m, LATERAL (SELECT (face_detect(pg_temp.file('party'), m.name)).* OFFSET 0) d WHERE m.role = 'detector' AND NOT builtin;
SELECT name, count(*), count(landmarks) AS landmarks, count(quality) AS quality, count(yaw) AS yaw FROM detected GROUP BY name ORDER BY name;
SELECT d.name, max((d.box[0] <-> y.box[0])) < 0.1 AND max((d.box[1] <-> y.box[1])) < 0.1 AS same_boxes,
	max(d.landmarks[3] <-> y.landmarks[3]) < 1.5 AS same_landmarks
FROM detected d JOIN detected y ON y.name = 'yunet' AND y.face_no = d.face_no GROUP BY d.name ORDER BY d.name;
SELECT face_no, score IS NOT NULL AS score, quality, landmarks, yaw, pitch, roll FROM detected WHERE name = 'boxes' ORDER BY 1;
SELECT face_no, quality, landmarks FROM face_embed_all(pg_temp.file('party'), 'nobody');

-- landmarks of a detector that has some, from another network
SELECT pg_temp.load('template', 'points', 'landmarks-5');
SELECT descriptor FROM facerec_models WHERE name = 'template';
SELECT pg_temp.load('yunet-2', 'detector', 'yunet', '{"landmarks": "template"}');
-- none is what the detector alone does
SELECT pg_temp.load('yunet-3', 'detector', 'yunet', '{"landmarks": null}');
CREATE TEMP TABLE refined AS SELECT * FROM face_detect(pg_temp.file('party'), 'yunet-2');
SELECT bool_and(r.box ~= y.box AND r.score = y.score) AS same_boxes,
	min(r.landmarks[3] <-> y.landmarks[3]) > 0.01 AS other_landmarks,
	max(r.landmarks[3] <-> y.landmarks[3]) < max(height(y.box)) AS in_the_face,
	bool_or(r.roll IS DISTINCT FROM y.roll) AS other_pose, count(*) = (SELECT count(*) FROM refined) AS all
FROM refined r JOIN detected y ON y.name = 'yunet' AND y.face_no = r.face_no;
SELECT pg_temp.load('who', 'embedder', 'arcface', '{"detector": "yunet-2"}');
SELECT bool_and(e.landmarks::text = r.landmarks::text) AS embedded_by_them FROM face_embed_all(pg_temp.file('party'), 'who') e JOIN refined r USING (face_no);
-- and from its mirror image, too: another model, other landmarks
SELECT pg_temp.load('both', 'points', 'landmarks-5', '{"flip": true}');
SELECT pg_temp.load('again', 'points', 'landmarks-5', '{"second_look": 0.1}');
SELECT descriptor -> 'second_look' AS second_look FROM facerec_models WHERE name = 'again';
SELECT pg_temp.load('x', 'points', 'landmarks-5', '{"second_look": 1.5}');
SELECT face_model_drop('again');
SELECT m.descriptor->'flip' AS flip, m.fingerprint <> t.fingerprint AS other FROM facerec_models m, facerec_models t WHERE m.name = 'both' AND t.name = 'template';
SELECT pg_temp.load('yunet-4', 'detector', 'yunet', '{"landmarks": "both"}');
SELECT min(b.landmarks[3] <-> r.landmarks[3]) > 0.01 AS other_landmarks, max(b.landmarks[3] <-> r.landmarks[3]) < max(height(r.box)) AS in_the_face
FROM face_detect(pg_temp.file('party'), 'yunet-4') b JOIN refined r USING (face_no);
SELECT face_model_drop('yunet-4'), face_model_drop('both');
SELECT face_model_drop('template');
SELECT face_model_drop('who'), face_model_drop('yunet-2'), face_model_drop('template');
SELECT pg_temp.load('x', 'points');
SELECT pg_temp.load('x', 'points', 'omz-landmarks-0009');
SELECT pg_temp.load('x', 'points', 'landmarks-5', '{"alignment": "middle"}');
SELECT pg_temp.load('x', 'scrfd-boxes', 'scrfd', '{"landmarks": "yunet"}');
SELECT pg_temp.load('x', 'detector', 'yunet', '{"landmarks": "nobody"}');
SELECT face_detect(pg_temp.file('party'), 'points');
SELECT face_model_drop('points');
SELECT pg_temp.load('x', 'embedder', 'omz-landmarks-0009');
SELECT pg_temp.load('x', 'landmarks', 'omz-landmarks-0009', '{"standardise": true}');
SELECT pg_temp.load('x', 'landmarks', 'facenet');

-- three networks
SELECT regexp_replace(face_model_load('mtcnn', pg_temp.mtcnn()), '@[0-9a-f]{8}$', '@...');
SELECT sha256 = sha256(sha256(pg_temp.file('mtcnn-p')) || sha256(pg_temp.file('mtcnn-r')) || sha256(pg_temp.file('mtcnn-o'))) AS sha256,
	cardinality(weights) FROM facerec_models WHERE name = 'mtcnn';
SELECT count(*) > 0 AS found, bool_and(landmarks IS NOT NULL) AS landmarks FROM face_detect(pg_temp.file('party'), 'mtcnn');
SELECT face_model_load('x', w[1:2], 'mtcnn') FROM pg_temp.mtcnn() w;
SELECT face_model_load('x', ARRAY[w[2], w[1], w[3]], 'mtcnn') FROM pg_temp.mtcnn() w;
SELECT face_model_load('x', ARRAY[w[2], w[1], w[3]]) FROM pg_temp.mtcnn() w;
SELECT face_model_load('x', w[1:2]) FROM pg_temp.mtcnn() w;
SELECT pg_temp.load('x', 'mtcnn-p', 'mtcnn');
SELECT pg_temp.load('x', 'mtcnn-p');
-- the border between files counts
CREATE TEMP TABLE copy AS SELECT * FROM facerec_models WHERE name = 'mtcnn';
SELECT face_model_drop('mtcnn');
CREATE TEMP TABLE moved AS SELECT * FROM copy;
UPDATE moved SET weights = ARRAY[weights[1] || substr(weights[2], 1, 1), substr(weights[2], 2), weights[3]];
INSERT INTO facerec_models SELECT * FROM moved;
-- so does their number
UPDATE moved SET weights = ARRAY[weights[1] || weights[2] || weights[3]];
UPDATE moved SET sha256 = sha256(weights[1]);
INSERT INTO facerec_models SELECT * FROM moved;
-- as it was
INSERT INTO facerec_models SELECT * FROM copy;
SELECT count(*) > 0 AS found FROM face_detect(pg_temp.file('party'), 'mtcnn');

-- embedders
SELECT pg_temp.load('people', 'embedder');
SELECT pg_temp.load('people', 'embedder', 'arcface', '{"detector": "scrfd"}');
SELECT pg_temp.load('raw', 'sface', NULL, '{"detector": "scrfd", "flip": true}');
SELECT descriptor->'mean' AS mean, descriptor->'scale' AS scale, descriptor->'flip' AS flip FROM facerec_models WHERE name = 'raw';
SELECT pg_temp.load('sface', 'sface', 'sface', '{"detector": "scrfd"}');
-- without landmarks the box is cut out
SELECT pg_temp.load('by-box', 'embedder', 'facenet', '{"detector": "boxes", "input_size": 112, "standardise": false}');
SELECT pg_temp.load('by-box-2', 'embedder', 'facenet', '{"detector": "boxes", "input_size": 112, "margin": 0}');
SELECT name, descriptor->'alignment' AS alignment, descriptor->'margin' AS margin, descriptor->'standardise' AS standardise FROM facerec_models WHERE name ~ 'by-box' ORDER BY name;
SELECT pg_temp.load('x', 'embedder', 'facenet', '{"margin": 5}');
SELECT m.name, face_dims(face_embed(pg_temp.file('party'), m.name)) FROM facerec_models m WHERE m.role = 'embedder' AND NOT builtin ORDER BY m.name;
SELECT count(*), count(landmarks) AS landmarks, count(embedding) AS embeddings FROM face_embed_all(pg_temp.file('party'), 'by-box');
SELECT pg_temp.load('x', 'embedder', 'sphereface');
-- pieces of one file, without a preset
SELECT regexp_replace(face_model_load('pieces', ARRAY[substr(f, 1, 1000), substr(f, 1001, 500), substr(f, 1501)]), '@[0-9a-f]{8}$', '@...') FROM pg_temp.file('retinaface') f;
SELECT regexp_replace(face_model_load('pieces', ARRAY[substr(f, 1, 1000), substr(f, 1001)], NULL, '{"detection_threshold": 0.61}'), '@[0-9a-f]{8}$', '@...') FROM pg_temp.file('retinaface') f;
-- how it is fed after the descriptor, not before
SELECT pg_temp.load('fed', 'scrfd', NULL, '{"color": "bgr", "mean": 0, "scale": 1}');
SELECT pg_temp.load('fed-2', 'scrfd', NULL, '{"mean": [1, 2, 3], "scale": [1, 2, 1]}');
-- an embedder that wants landmarks, behind a detector that has none
SELECT pg_temp.load('square', 'embedder', 'arcface', '{"detector": "boxes", "color": "bgr"}');
SELECT count(*), count(landmarks) AS landmarks, count(embedding) AS embeddings FROM face_embed_all(pg_temp.file('party'), 'square');
-- a stored descriptor leads to the same model
SELECT descriptor->'landmarks' AS landmarks FROM facerec_models WHERE name = 'boxes';
SELECT face_model_load('boxes', pg_temp.file('scrfd-boxes'), preset, descriptor) = name || '@' || fingerprint AS same FROM facerec_models WHERE name = 'boxes';
SELECT face_model_load('by-box', pg_temp.file('embedder'), preset, descriptor) = name || '@' || fingerprint AS same FROM facerec_models WHERE name = 'by-box';

SELECT face_model_drop(name) FROM facerec_models WHERE role = 'embedder' AND NOT builtin ORDER BY name;
SELECT face_model_drop(name) FROM facerec_models WHERE role = 'detector' AND NOT builtin ORDER BY name;
SELECT face_model_drop('points');
SELECT count(*) FROM facerec_models WHERE NOT builtin;
