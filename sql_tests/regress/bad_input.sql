-- Whatever the bytes are: an error with its reason, a session that lives on
-- and no memory kept.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx bad_models/*.onnx patches/party.png images/*.jpg images/*.png images/*.gif images/*.bmp images/*.tiff images/*.webp; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT name, decode(base64, 'base64') AS data FROM input;
SELECT face_model_load('patches', data, 'yunet') IS NOT NULL AS detector FROM file WHERE name = 'models/patch-detector.onnx';
SELECT face_model_load('people', data, 'mobilefacenet') IS NOT NULL AS embedder FROM file WHERE name = 'models/patch-embedder.onnx';
SET facerec.detector = 'patches';
SET facerec.embedder = 'people';
-- the SQLSTATE of embedding an image
CREATE FUNCTION try_embed(image bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE WHEN face_embed(image) IS NULL THEN 'no face' ELSE 'face' END;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
-- face_image_error says of the same pictures that they cannot be read
CREATE FUNCTION agrees(image bytea) RETURNS boolean LANGUAGE sql AS $$
	SELECT (face_image_error(image) IS NOT NULL) = (try_embed(image) IN ('22P03', '0A000', '54000'))
$$;
-- what all other functions do with it: nothing, or the same error
CREATE FUNCTION try_others(image bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	call text;
	result text := '';
BEGIN
	FOREACH call IN ARRAY ARRAY['count(*) FROM face_detect($1)', 'count(*) FROM face_embed_all($1)', 'face_embed($1, box ''(1,1),(9,9)'')',
		'face_embed_aligned($1)', 'face_crop($1, ''(0,0),(1,1)'')', 'face_align($1, ''{"(1,1)","(2,1)","(1,2)","(1,3)","(2,3)"}'')', 'face_draw($1, ''{}'')'] LOOP
		BEGIN
			EXECUTE 'SELECT ' || call USING image;
			result := result || ' ok';
		EXCEPTION WHEN OTHERS THEN
			result := result || ' ' || SQLSTATE;
		END;
	END LOOP;
	RETURN result;
END $$;

-- images
SELECT face_embed('');
SELECT face_embed('\x00');
SELECT face_embed('this is no image');
SELECT face_embed('\xffd8');
SELECT face_embed('\x89504e470d0a1a0a');
SELECT face_embed('\x000000186674797068656963000000006d696631686569630000000000000000');
SELECT face_embed(data) FROM file WHERE name = 'images/small.gif';
SELECT face_embed(data) FROM file WHERE name = 'images/small.webp';
SELECT face_embed(data) FROM file WHERE name = 'images/huge-header.jpg';
SELECT face_embed(data) FROM file WHERE name = 'images/bomb.png';
SELECT face_embed(substr(data, 1, 1000)) FROM file WHERE name = 'images/waves-444.jpg';
SELECT face_embed(substr(data, 1, 300)) FROM file WHERE name = 'images/gray.png';
SELECT name, try_embed(data), agrees(data), try_others(data) FROM file WHERE name ~ '^images/' AND name !~ 'person|twelve' ORDER BY name COLLATE "C";
SET facerec.max_image_pixels = 1000;
SELECT face_embed(data) FROM file WHERE name = 'images/gray.png';
SELECT face_crop(data, '(0,0),(1,1)') FROM file WHERE name = 'images/gray.png';
SELECT face_image_error(data) FROM file WHERE name = 'images/gray.png';
RESET facerec.max_image_pixels;

\set VERBOSITY terse
SELECT face_embed(data) FROM file WHERE name = 'images/twelve-bit.jpg';
\set VERBOSITY default

-- truncated at every byte
SELECT f.name, try_embed(substr(data, 1, n)) AS sqlstate, count(*), length(data), bool_and(agrees(substr(data, 1, n))) AS agrees
FROM file f, generate_series(0, length(data) - 1) n
WHERE f.name IN ('images/waves-gray.jpg', 'images/orientation-5.jpg', 'images/gray-2.png') GROUP BY 1, 2, 4 ORDER BY 1, 2;
-- a byte changed everywhere: no crash; most changes cannot be noticed
SELECT f.name, bool_and(try_embed(set_byte(data, n, get_byte(data, n) # 255)) IN ('no face', '22P03', '0A000', '54000')) AS survived,
	bool_and(agrees(set_byte(data, n, get_byte(data, n) # 255))) AS agrees
FROM file f, generate_series(0, length(data) - 1) n
WHERE f.name IN ('images/waves-gray.jpg', 'images/gray-2.png') GROUP BY 1 ORDER BY 1;
-- random bytes, bare and behind each magic
WITH RECURSIVE noise AS (
	SELECT 1 AS n, sha512('seed') AS bytes UNION ALL SELECT n + 1, sha512(bytes) || bytes FROM noise WHERE n < 60)
SELECT bool_and(try_embed(magic || bytes) IN ('22P03', '0A000', '54000')) AS refused, count(*),
	count(face_image_info(magic || bytes)) AS never_raises, bool_and(agrees(magic || bytes)) AS agrees
FROM noise, (VALUES (''::bytea), ('\xffd8ffe0'), ('\xffd8ffdb'), ('\xffd8ffc0001108'), ('\x89504e470d0a1a0a0000000d49484452')) m(magic);

-- models
CREATE FUNCTION try_load(onnx bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN face_model_load('bad', onnx, 'mobilefacenet');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/missing-weight.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/short-weight.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/wrong-shape.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/cycle.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/unknown-op.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/negative-dimension.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/huge-tensor.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/truncated.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/map-output.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'bad_models/two-outputs.onnx';
SELECT face_model_load('bad', data, 'mobilefacenet') FROM file WHERE name = 'images/gray.png';
SELECT face_model_load('bad', 'onnx'::bytea, 'yunet');
SELECT count(*) AS not_loaded, bool_and(state ~ '^[0-9A-Z]{5}$' AND state <> 'XX000') AS with_reason
FROM file f, generate_series(0, length(data) - 1, 97) n, try_load(substr(data, 1, n)) state WHERE f.name = 'models/patch-embedder.onnx';
SELECT name FROM facerec_models WHERE NOT builtin ORDER BY name;

-- the session is as good as new
SELECT face_no, face_dims(embedding) FROM file, face_embed_all(data) WHERE name = 'patches/party.png';

-- memory returns to where it was
CREATE FUNCTION all_bad_things() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM try_embed(data), try_others(data), face_image_info(data), face_image_error(data) FROM file WHERE name ~ '^(images|patches)/';
	PERFORM try_load(data) FROM file WHERE name ~ '^bad_models';
	RETURN (SELECT sum(total_bytes) FROM pg_backend_memory_contexts);
END $$;
SELECT count(all_bad_things()) FROM generate_series(1, 2);
SELECT max(bytes) - min(bytes) < 200000 AS stays FROM (SELECT all_bad_things() AS bytes FROM generate_series(1, 5)) s;
SELECT count(*) AS left_over FROM pg_backend_memory_contexts WHERE name ~ '^facerec (call|model check)';
SELECT name, count(*) FROM pg_backend_memory_contexts WHERE name ~ '^facerec' GROUP BY 1;

DROP FUNCTION agrees, try_embed, try_others, try_load, all_bad_things;
SELECT face_model_drop('people'), face_model_drop('patches');
