-- Detecting and embedding, with networks that find squares of magenta.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/*.png images/person-1a.jpg; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TABLE photo AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input WHERE name !~ '^models';
CREATE TEMP TABLE model AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input WHERE name ~ '^models';
SELECT face_model_load('patches', data, 'yunet') IS NOT NULL AS detector FROM model WHERE name = 'patch-detector.onnx';
SELECT face_model_load('people', data, 'mobilefacenet') IS NOT NULL AS embedder FROM model WHERE name = 'patch-embedder.onnx';
SELECT face_model_load('people-b', data, 'mobilefacenet') IS NOT NULL AS embedder FROM model WHERE name = 'patch-embedder-b.onnx';

-- largest first; boxes and landmarks in pixels of the picture
SELECT face_no, round((box[1])[0]) AS left, round((box[1])[1]) AS top, round((box[0])[0]) AS right, round((box[0])[1]) AS bottom,
	score > 0.9 AS sure, quality BETWEEN 0 AND 100 AS quality, abs(yaw) < 90 AND abs(pitch) < 90 AS angles, abs(roll) < 1 AS upright
FROM photo, face_detect(data, 'patches') WHERE name = 'party.png';
SELECT face_no, n, round(l[0]) AS x, round(l[1]) AS y
FROM photo, face_detect(data, 'patches'), unnest(landmarks) WITH ORDINALITY u(l, n) WHERE name = 'party.png' AND face_no = 1;
SELECT count(*) FROM photo, face_detect(data, model => 'patches') WHERE name = 'nobody.png';
SELECT (face_detect(data, 'patches')).face_no FROM photo WHERE name = 'party.png';
SELECT count(*) FROM face_detect(NULL, 'patches');

-- settings rule the forms without a model
SET facerec.detector = 'patches';
SELECT count(*) FROM photo, face_detect(data) WHERE name = 'party.png';
SET facerec.min_face_size = 60;
SELECT count(*) AS large FROM photo, face_detect(data) WHERE name = 'party.png';
SELECT count(*) AS not_by_settings FROM photo, face_detect(data, 'patches') WHERE name = 'party.png';
SET facerec.max_faces = 1;
SELECT count(*) AS largest FROM photo, face_detect(data) WHERE name = 'party.png';
RESET facerec.min_face_size;
RESET facerec.max_faces;
SET facerec.detection_size = 160;
SELECT face_no, abs((box[1])[0] - 240) < 4 AS left, abs((box[0])[1] - 196) < 4 AS bottom FROM photo, face_detect(data) WHERE name = 'party.png' AND face_no = 1;
RESET facerec.detection_size;
SET facerec.detector = 'nobody';
SELECT face_detect(data) FROM photo WHERE name = 'party.png';
SET facerec.detector = 'patches';

-- one embedding per photo
SET facerec.embedder = 'people';
SELECT name, face_dims(face_embed(data)) AS dims FROM photo ORDER BY name COLLATE "C";
SELECT bool_and(face_embed(data) = face_embed(data, 'people')) AS same_by_settings_and_by_name FROM photo;
SELECT face_embed(NULL) IS NULL AS photo, face_embed(data, NULL::text) IS NULL AS model FROM photo WHERE name = 'ann-1.png';
-- the same person is near, others are far
SELECT p.name, (SELECT q.name FROM photo q WHERE q.name <> p.name AND q.name ~ '-[12].png'
	ORDER BY face_embed(q.data) <=> face_embed(p.data) LIMIT 1) AS nearest
FROM photo p WHERE p.name ~ '-[12].png' AND p.name <> 'cid-1.png' ORDER BY 1;
SELECT a.name, b.name, (face_embed(a.data) <=> face_embed(b.data)) < 0.05 AS same
FROM photo a, photo b WHERE a.name ~ '-[12].png' AND b.name ~ '-[12].png' AND a.name < b.name COLLATE "C" ORDER BY 1, 2;
\set VERBOSITY terse
SELECT face_embed(data, 'people') <=> face_embed(data, 'people-b') FROM photo WHERE name = 'ann-1.png';
\set VERBOSITY default

-- all faces of a photo, and the one in a region
SELECT f.face_no, (SELECT q.name FROM photo q WHERE q.name ~ '-1.png' ORDER BY face_embed(q.data) <=> f.embedding LIMIT 1) AS who,
	f.score > 0.9 AS sure, cardinality(f.landmarks) AS landmarks
FROM photo p, face_embed_all(p.data) f WHERE p.name = 'party.png';
SELECT bool_and(d.box ~= e.box AND d.score = e.score AND d.quality = e.quality AND d.landmarks::text = e.landmarks::text) AS same_as_detected, count(*)
FROM photo, LATERAL face_detect(data) d, LATERAL face_embed_all(data, 'people') e WHERE name = 'party.png' AND d.face_no = e.face_no;
SELECT face_no, (e.embedding <=> face_embed(data, e.box)) < 0.01 AS by_region, (e.embedding <=> face_embed(data, e.box, 'people')) < 0.01 AS by_region_and_model,
	(e.embedding <=> face_embed(data)) < 0.01 AS is_largest
FROM photo, face_embed_all(data) e WHERE name = 'party.png';
SELECT face_embed(data, box '(0,0),(30,30)') IS NULL AS nobody_there FROM photo WHERE name = 'party.png';
SELECT face_embed(data, box '(-500,-500),(-400,-400)') FROM photo WHERE name = 'party.png';
-- without the word it is a model's name
SELECT face_embed(data, '(0,0),(30,30)') FROM photo WHERE name = 'party.png';
SELECT face_embed(data, box(point(0, 0), point(1, 'NaN'))) FROM photo WHERE name = 'party.png';
SELECT count(*) FROM photo, face_embed_all(data) WHERE name = 'nobody.png';

-- aligned crops
SELECT face_dims(face_embed_aligned(data)) AS dims, face_embed_aligned(data) = face_embed_aligned(crop => data, model => 'people') AS same FROM photo WHERE name = 'crop.png';
SELECT face_embed_aligned(data) FROM photo WHERE name = 'ann-1.png';
SELECT (face_embed_aligned(face_align(p.data, f.landmarks)) <=> f.embedding) < 0.05 AS align_then_embed
FROM photo p, face_embed_all(p.data) f WHERE name = 'ann-1.png';

-- vectors from elsewhere
SELECT face_model(face_embedding(embedding::real[], 'people')) = face_model(embedding) AS model,
	(face_embedding(embedding::real[], 'people') <=> embedding) < 1e-5 AS direction,
	(face_embedding("values" => (SELECT array_agg((7 * v)::real) FROM unnest(embedding::real[]) v), model => 'people') <=> embedding) < 1e-5 AS any_length
FROM photo, face_embed(data) embedding WHERE name = 'ann-1.png';
SELECT face_embedding('{1,2,3}', 'people');
SELECT face_embedding('{}', 'people');
SELECT face_embedding(array_fill(0::real, ARRAY[16]), 'people');
SELECT face_embedding(array_fill('NaN'::real, ARRAY[16]), 'people');
SELECT face_embedding(array_fill(NULL::real, ARRAY[16]), 'people');
SELECT face_embedding(array_fill(1::real, ARRAY[4, 4]), 'people');
SELECT face_embedding(array_fill(1::real, ARRAY[16]), 'unknown');
SELECT face_embedding(array_fill(1::real, ARRAY[16]), 'patches');
SELECT face_embedding(array_fill(1::real, ARRAY[16]), NULL) IS NULL AS strict;

-- volatility, cost, parallel safety
SELECT oid::regprocedure::text COLLATE "C" AS function, provolatile, proparallel, proisstrict, procost, prorows
FROM pg_proc WHERE proname ~ '^face_(detect|embed|embedding|embed_all|embed_aligned|image_info|crop|align|draw|model_load|model_drop)$' ORDER BY 1;

-- generated columns take the form that names its model
CREATE TABLE badge (id int, photo bytea, embedding faceembedding GENERATED ALWAYS AS (face_embed(photo)) STORED);
CREATE TABLE badge (id int, photo bytea, embedding faceembedding(16) GENERATED ALWAYS AS (face_embed(photo, 'people')) STORED);
INSERT INTO badge SELECT row_number() OVER (ORDER BY name COLLATE "C"), data FROM photo WHERE name ~ 'png$' AND name <> 'crop.png';
SELECT id, embedding IS NOT NULL AS has_face, embedding = face_embed(photo, 'people') AS same FROM badge ORDER BY id;
UPDATE badge SET photo = (SELECT data FROM photo WHERE name = 'ann-1.png') WHERE id = 6;
SELECT count(*) FROM badge b, photo p WHERE p.name = 'ann-1.png' AND b.embedding = face_embed(p.data, 'people');
DROP TABLE badge;

-- the last photo of a call site is remembered: forgotten when anything changes
CREATE FUNCTION is_right(names text[]) RETURNS SETOF boolean LANGUAGE plpgsql AS $$
DECLARE
	file text;
	image bytea;
	e faceembedding;
BEGIN
	FOREACH file IN ARRAY names LOOP
		SELECT data INTO image FROM photo WHERE name = file;
		e := face_embed(image);
		RETURN NEXT e IS NOT DISTINCT FROM (SELECT face_embed(data) FROM photo WHERE name = file);
	END LOOP;
END $$;
SELECT is_right('{ann-1.png,ann-1.png,bob-1.png,ann-1.png,nobody.png,nobody.png,ann-2.png}');
DROP FUNCTION is_right;
CREATE FUNCTION dims(bytea) RETURNS SETOF int LANGUAGE plpgsql AS $$
DECLARE e faceembedding;
BEGIN
	FOR i IN 1 .. 5 LOOP
		e := face_embed($1);
		RETURN NEXT face_dims(e);
		IF i = 2 THEN SET facerec.embedder = 'people-b'; END IF;
		IF i = 3 THEN SET facerec.min_face_size = 300; END IF;
		IF i = 4 THEN RESET facerec.min_face_size; END IF;
	END LOOP;
END $$;
SELECT dims(data) FROM photo WHERE name = 'ann-1.png';
SET facerec.embedder = 'people';
DROP FUNCTION dims;
-- so that this is one inference, not 20,000
SET statement_timeout = '20s';
CREATE TEMP TABLE gallery AS SELECT i AS id, face_embed(data) AS embedding FROM generate_series(1, 1) i, photo WHERE name = 'ann-1.png';
INSERT INTO gallery SELECT i, embedding FROM gallery, generate_series(2, 20000) i;
SELECT id, distance < 0.001 AS same FROM (
	SELECT id, embedding <=> face_embed(data) AS distance FROM gallery, photo WHERE name = 'ann-2.png' ORDER BY embedding <=> face_embed(data), id LIMIT 1) s;
RESET statement_timeout;

-- instruction sets agree
CREATE TEMP TABLE by_isa AS SELECT name, face_embed(data) AS embedding FROM photo;
SET facerec.isa = 'generic';
SELECT bool_and((b.embedding <=> face_embed(p.data)) < 1e-4) AS agree, count(*) FROM by_isa b JOIN photo p USING (name) WHERE b.embedding IS NOT NULL;
RESET facerec.isa;

-- limits of memory are errors, and the next call is fine
SET facerec.max_inference_memory = '1MB';
\set VERBOSITY terse
SELECT face_embed(data) FROM photo WHERE name = 'party.png';
\set VERBOSITY default
RESET facerec.max_inference_memory;
SELECT face_dims(face_embed(data)) FROM photo WHERE name = 'party.png';

DROP TABLE photo;
SELECT face_model_drop(name) FROM facerec_models WHERE role = 'embedder' AND NOT builtin ORDER BY name;
SELECT face_model_drop('patches');
