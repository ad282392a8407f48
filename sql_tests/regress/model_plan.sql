-- face_model_plan: the steps of a model.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE FUNCTION pg_temp.file(name text) RETURNS bytea LANGUAGE sql AS
	$$ SELECT decode(base64, 'base64') FROM input WHERE input.name = 'models/patch-' || file.name || '.onnx' $$;
DO $$ BEGIN
	PERFORM face_model_load('patches', pg_temp.file('detector'), 'yunet');
	PERFORM face_model_load('people', pg_temp.file('embedder'), 'mobilefacenet');
	PERFORM face_model_load('cascade', ARRAY[pg_temp.file('mtcnn-p'), pg_temp.file('mtcnn-r'), pg_temp.file('mtcnn-o')], 'mtcnn');
END $$;
RESET client_min_messages;

-- the same steps on every instruction set have other kernels: only what holds for all
SELECT array_agg(step) = array_agg(n::int) AS numbered, bool_and(network = 1) AS one_network,
	bool_and(kernel <> '' AND array_length(shape, 1) > 0 AND weight_bytes >= 0 AND flops >= 0) AS filled,
	bool_and(estimated_ms > 0) AND sum(measured_ms) > 0 AS timed, sum(weight_bytes) > 0 AS weights, sum(flops) > 0 AS work
FROM face_model_plan('people') WITH ORDINALITY p (step, network, layer, kernel, shape, weight_bytes, flops, estimated_ms, measured_ms, n);
-- the last step gives the embedding
SELECT shape FROM face_model_plan('people', runs => 1) ORDER BY step DESC LIMIT 1;
-- as often as asked for; not at all
SELECT count(*) > 0 AS steps, count(estimated_ms) AS estimated, count(measured_ms) AS measured FROM face_model_plan('people', runs => 0);
-- null is the default
SELECT count(*) = count(measured_ms) AS measured FROM face_model_plan('people', NULL, NULL, NULL);
-- by label
SELECT count(*) > 0 AS by_label FROM facerec_models m, face_model_plan(m.name || '@' || m.fingerprint, runs => 0) WHERE m.name = 'people';
-- a detector takes any size
SELECT sum(flops) FILTER (WHERE width = 640) > 3 * sum(flops) FILTER (WHERE width = 320) AS more_work
FROM (VALUES (320), (640)) v (width), face_model_plan('patches', width, width, 0);
SELECT (SELECT sum(flops) FROM face_model_plan('patches', runs => 0)) = (SELECT sum(flops) FROM face_model_plan('patches', 640, 640, 0)) AS usual_size;
-- sides are padded as the detector does it
SELECT (SELECT sum(flops) FROM face_model_plan('patches', 333, 1, 0)) = (SELECT sum(flops) FROM face_model_plan('patches', 352, 32, 0)) AS padded;
-- three networks
SELECT array_agg(DISTINCT network ORDER BY network) AS networks, sum(measured_ms) > 0 AS measured FROM face_model_plan('cascade', 64, 48, 2);
-- slower kernels
SET facerec.isa = 'generic';
SELECT count(*) > 0 AS steps, bool_or(kernel ~ 'generic') AS generic FROM face_model_plan('people', runs => 0);
RESET facerec.isa;

-- arguments
SELECT * FROM face_model_plan(NULL);
SELECT * FROM face_model_plan('nobody');
SELECT * FROM face_model_plan('people', 111);
SELECT * FROM face_model_plan('people', 112, 112, -1);
SELECT * FROM face_model_plan('people', runs => 1001);
SELECT * FROM face_model_plan('patches', 0);
SELECT * FROM face_model_plan('patches', height => 16385);
SELECT count(*) > 0 AS fits FROM face_model_plan('people', 112, 112, 0);
SET facerec.max_inference_memory = '1MB';
SELECT * FROM face_model_plan('patches', 4096, 4096, 0);
RESET facerec.max_inference_memory;
SELECT face_model_drop(name) FROM facerec_models WHERE name IN ('patches', 'people', 'cascade') ORDER BY role DESC, name;
