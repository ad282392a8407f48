-- Properties of detecting and embedding.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
BEGIN;
SELECT plan(26);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/*.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
SELECT ok(bool_and(label IS NOT NULL), 'models load') FROM (
	SELECT face_model_load('patches', data, 'yunet') FROM file WHERE name = 'patch-detector.onnx' UNION ALL
	SELECT face_model_load('people', data, 'mobilefacenet', '{"detector": "patches"}') FROM file WHERE name = 'patch-embedder.onnx' UNION ALL
	SELECT face_model_load('people-flip', data, 'mobilefacenet', '{"detector": "patches", "flip": true}') FROM file WHERE name = 'patch-embedder.onnx' UNION ALL
	SELECT face_model_load('people-few', data, 'mobilefacenet', '{"detector": "patches", "max_faces": 1, "min_face_size": 60}') FROM file WHERE name = 'patch-embedder.onnx') s(label);
CREATE TEMP TABLE photo AS SELECT name, data FROM file WHERE name ~ 'png$';
SET LOCAL facerec.detector = 'patches';
SET LOCAL facerec.embedder = 'people';
CREATE TEMP TABLE face AS SELECT name, d.* FROM photo, face_detect(data) d;
CREATE TEMP TABLE embedded AS SELECT name, e.* FROM photo, face_embed_all(data) e;

-- ---- detection -------------------------------------------------------------
SELECT cmp_ok(count(*)::int, '>=', 8, 'there are faces') FROM face;
SELECT ok(bool_and(face_no = rank AND face_no >= 1), 'numbered from 1 by falling area') FROM (SELECT face_no, row_number() OVER (PARTITION BY name ORDER BY area(box) DESC) AS rank FROM face) s;
SELECT ok(bool_and(box @> l), 'landmarks lie in their box') FROM face, unnest(landmarks) l;
SELECT ok(bool_and(cardinality(landmarks) = 5 AND (landmarks[1])[0] < (landmarks[2])[0] AND (landmarks[4])[0] < (landmarks[5])[0] AND (landmarks[1])[1] < (landmarks[4])[1]),
	'left is left, up is up') FROM face;
SELECT ok(bool_and(score BETWEEN 0 AND 1 AND quality BETWEEN 0 AND 100 AND yaw BETWEEN -180 AND 180 AND pitch BETWEEN -180 AND 180 AND roll BETWEEN -180 AND 180), 'values are in their ranges') FROM face;
SELECT results_eq('SELECT name, face_no, score FROM face ORDER BY 1, 2', 'SELECT name, face_no, score FROM photo, face_detect(data, ''patches'') ORDER BY 1, 2', 'settings at their defaults are the model''s own');
SELECT results_eq('SELECT name, face_no, score, quality FROM face ORDER BY 1, 2', 'SELECT name, face_no, score, quality FROM embedded ORDER BY 1, 2', 'face_embed_all finds what face_detect finds');
SET LOCAL facerec.max_faces = 2;
SELECT results_eq('SELECT name, d.face_no, d.score FROM photo, face_detect(data) d ORDER BY 1, 2', 'SELECT name, face_no, score FROM face WHERE face_no <= 2 ORDER BY 1, 2', 'max_faces keeps the largest');
RESET facerec.max_faces;
SET LOCAL facerec.min_face_size = 65;
SELECT results_eq('SELECT name, d.score FROM photo, face_detect(data) d ORDER BY 1, 2', 'SELECT name, score FROM face WHERE least(width(box), height(box)) >= 65 ORDER BY 1, 2', 'min_face_size drops the small');
RESET facerec.min_face_size;
SET LOCAL facerec.detection_threshold = 1;
SELECT ok(bool_and(score >= 1) IS NOT FALSE, 'a threshold of 1 leaves only the certain') FROM (SELECT (face_detect(data)).score FROM photo) s;
RESET facerec.detection_threshold;

-- ---- embedding -------------------------------------------------------------
SELECT results_eq('SELECT name, face_embed(data) FROM photo ORDER BY 1', 'SELECT p.name, e.embedding FROM photo p LEFT JOIN embedded e ON e.name = p.name AND e.face_no = 1 ORDER BY 1', 'face_embed is the largest face, or NULL');
SELECT results_eq('SELECT name, face_embed(data) FROM photo ORDER BY 1', 'SELECT name, face_embed(data, ''people'') FROM photo ORDER BY 1', 'by settings or by name');
SELECT results_eq('SELECT name, face_no, embedding FROM embedded ORDER BY 1, 2', 'SELECT name, e.face_no, e.embedding FROM photo, face_embed_all(data, ''people'') e ORDER BY 1, 2', 'all faces by name');
SELECT cmp_ok(max(face_embed(p.data, e.box) <=> e.embedding), '<=', 0.01::float8, 'the face in its own box is itself') FROM photo p JOIN embedded e USING (name);
SELECT cmp_ok(max(face_embed(p.data, box(e.box[0] + point(3, -2), e.box[1] + point(3, -2))) <=> e.embedding), '<=', 0.01::float8, 'a box that is a little off finds it, too') FROM photo p JOIN embedded e USING (name);
SELECT cmp_ok(max(abs((a.embedding <=> b.embedding) - (b.embedding <=> a.embedding))), '=', 0::float8, 'distances are symmetric') FROM embedded a, embedded b;
SELECT cmp_ok(max(embedding <=> embedding), '<=', 1e-6::float8, 'and 0 to itself') FROM embedded;
SELECT isnt(face_embed(data, 'people-flip')::real[], face_embed(data, 'people')::real[], 'flip averaging changes the embedding') FROM photo WHERE name = 'ann-1.png';
SELECT results_eq('SELECT e.face_no FROM photo, face_embed_all(data, ''people-few'') e WHERE name = ''party.png''', 'SELECT 1', 'a model''s own max_faces counts');
SET LOCAL facerec.max_faces = 1;
SET LOCAL facerec.min_face_size = 300;
SET LOCAL facerec.detection_size = 64;
SET LOCAL facerec.detection_threshold = 1;
SET LOCAL facerec.detector = '';
SET LOCAL facerec.embedder = '';
SELECT results_eq('SELECT name, face_no, embedding FROM embedded ORDER BY 1, 2', 'SELECT name, e.face_no, e.embedding FROM photo, face_embed_all(data, ''people'') e ORDER BY 1, 2', 'no setting reaches the immutable forms');
RESET facerec.max_faces;
RESET facerec.min_face_size;
RESET facerec.detection_size;
RESET facerec.detection_threshold;
SET LOCAL facerec.embedder = 'people';
SELECT results_eq('SELECT name, face_embed(data) FROM photo ORDER BY 1', 'SELECT name, face_embed(data, ''people'') FROM photo ORDER BY 1', 'without facerec.detector the embedder''s own is used');

-- ---- pictures --------------------------------------------------------------
SELECT ok(bool_and((i.width, i.height, 'JPEG') = (j.width, j.height, j.format)), 'drawing keeps the size')
FROM (SELECT p.data, face_draw(p.data, array_agg(e.box), array_agg(e.face_no::text)) AS drawn FROM photo p JOIN embedded e USING (name) GROUP BY p.name, p.data) s, face_image_info(data) i, face_image_info(drawn) j;
SELECT ok(bool_and(abs(i.width - width(box)) <= 2 AND abs(i.height - height(box)) <= 2), 'a crop has the size of its box')
FROM (SELECT e.box, face_crop(p.data, e.box) AS crop FROM photo p JOIN embedded e USING (name)) s, face_image_info(crop) i;
SELECT cmp_ok(max(aligned <=> embedding), '<=', 0.05::float8, 'aligning and embedding by hand is the same')
FROM (SELECT face_embed_aligned(face_align(p.data, e.landmarks)) AS aligned, e.embedding FROM photo p JOIN embedded e USING (name) WHERE p.name <> 'crop.png') s;
SELECT cmp_ok(count(*)::int, '=', 0, 'nobody is where nobody is') FROM embedded WHERE name = 'nobody.png';
SELECT * FROM finish();
ROLLBACK;
