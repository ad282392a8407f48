-- Properties of the model catalog.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
BEGIN;
SELECT plan(42);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/ann-1.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
CREATE FUNCTION pg_temp.load(text, text, text, jsonb DEFAULT NULL) RETURNS text LANGUAGE sql AS
	$$ SELECT face_model_load($1, data, $3, $4) FROM file WHERE name = $2 $$;
-- the fingerprint that a descriptor leads to
CREATE FUNCTION pg_temp.fingerprint(jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	BEGIN
		result := split_part(pg_temp.load('probe', 'patch-embedder.onnx', 'mobilefacenet', $1), '@', 2);
		RAISE EXCEPTION USING ERRCODE = 'P0999';
	EXCEPTION WHEN SQLSTATE 'P0999' THEN
		NULL; -- undone
	END;
	RETURN result;
END $$;

-- ---- shape -----------------------------------------------------------------
SELECT has_table('facerec_models'::name);
SELECT col_is_pk('facerec_models', 'name');
SELECT col_is_unique('facerec_models', 'fingerprint');
SELECT has_trigger('facerec_models', 'facerec_models_guard');
SELECT ok((SELECT extconfig @> ARRAY['facerec_models'::regclass::oid] FROM pg_extension WHERE extname = 'facerec'), 'user rows are dumped');
SELECT is((SELECT extcondition[array_position(extconfig, 'facerec_models'::regclass::oid)] FROM pg_extension WHERE extname = 'facerec'), 'WHERE NOT builtin', 'builtin rows are not');
SELECT ok(bool_and(has_column_privilege('public', 'facerec_models', attname, 'SELECT') = (attname <> 'weights')), 'everybody reads all columns but the weights')
FROM pg_attribute WHERE attrelid = 'facerec_models'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT ok(NOT has_table_privilege('public', 'facerec_models', 'INSERT, UPDATE, DELETE, TRUNCATE'), 'nobody else writes');
SELECT ok(bool_and(NOT has_function_privilege('public', oid, 'EXECUTE') AND prosecdef AND proconfig = '{"search_path=pg_catalog, pg_temp"}'), 'loading and dropping are guarded')
FROM pg_proc WHERE proname IN ('face_model_load', 'face_model_drop', 'facerec_models_install');
SELECT ok(NOT has_function_privilege('public', oid, 'EXECUTE') AND NOT prosecdef, 'so is quantising, which reads photos with the rights of the caller')
FROM pg_proc WHERE proname = 'face_model_quantize';
SELECT ok(bool_and(has_function_privilege('public', oid, 'EXECUTE')), 'everybody uses models')
FROM pg_proc WHERE proname ~ '^face_' AND proname !~ '^face_model_(load|drop|quantize)$';
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid
	WHERE e.extname = 'facerec' AND obj_description(p.oid, 'pg_proc') IS NULL$$, 'every function has a comment');

-- ---- loading ---------------------------------------------------------------
SELECT matches(pg_temp.load('patches', 'patch-detector.onnx', 'yunet'), '^patches@[0-9a-f]{8}$', 'a detector gets its label');
SELECT matches(pg_temp.load('people', 'patch-embedder.onnx', 'mobilefacenet'), '^people@[0-9a-f]{8}$', 'an embedder, too');
SELECT is(dims, 16, 'dimensions are known') FROM facerec_models WHERE name = 'people';
SELECT is(sha256, sha256(data), 'the SHA-256 is that of the file') FROM facerec_models, file WHERE facerec_models.name = 'people' AND file.name = 'patch-embedder.onnx';
SELECT is(array_to_string(ARRAY(SELECT encode(w, 'hex') FROM unnest(weights) w), ''), encode(data, 'hex'), 'the weights are the file')
FROM facerec_models, file WHERE facerec_models.name = 'people' AND file.name = 'patch-embedder.onnx';
SELECT is(fingerprint, encode(substr(sha256(sha256 || convert_to(' preset=' || preset || ' dims=' || dims || ' descriptor=' || (descriptor || jsonb_build_object('detector', "right"(descriptor->>'detector', 8))), 'UTF8')), 1, 4), 'hex'),
	'the fingerprint can be computed by anybody') FROM facerec_models WHERE name = 'people';
SELECT is_empty($$SELECT name FROM facerec_models,
	LATERAL (SELECT coalesce(jsonb_object_agg(key, right(value #>> '{}', 8)), '{}') AS used FROM jsonb_each(descriptor) WHERE key IN ('detector', 'landmarks')) u
	WHERE builtin AND fingerprint <> encode(substr(sha256(sha256 || convert_to(' preset=' || preset || ' dims=' || dims || ' descriptor=' || (descriptor || used), 'UTF8')), 1, 4), 'hex')$$,
	'also those of builtin models');
SELECT is(descriptor->>'landmarks', coalesce((SELECT name || '@' || fingerprint FROM facerec_models WHERE name = 'facerec-landmarks'), 'missing'), 'the builtin detector uses the builtin landmarks')
FROM facerec_models WHERE name = 'facerec-detector';

-- ---- fingerprints ----------------------------------------------------------
SELECT throws_ok($$SELECT pg_temp.load('twin', 'patch-embedder.onnx', 'mobilefacenet', descriptor) FROM facerec_models WHERE name = 'people'$$,
	'42710', 'face model "twin" is already loaded as "people"', 'the stored descriptor leads to the same model');
SELECT lives_ok($$SELECT pg_temp.load('people', 'patch-embedder.onnx', 'mobilefacenet', descriptor) FROM facerec_models WHERE name = 'people'$$, 'loading the same again is no error');
CREATE TEMP TABLE variant (descriptor jsonb);
INSERT INTO variant VALUES ('{"flip": true}'), ('{"color": "bgr"}'), ('{"mean": 127}'), ('{"mean": [127.5, 127.5, 127]}'), ('{"scale": 0.0078}'), ('{"alignment": "omz-128"}'),
	('{"detection_threshold": 0.5}'), ('{"detection_size": 640}'), ('{"min_face_size": 21}'), ('{"max_faces": 99}'), ('{"detector": null}');
SELECT is(count(DISTINCT pg_temp.fingerprint(descriptor))::int, 11, 'every key of the descriptor counts') FROM variant;
SELECT is(pg_temp.fingerprint('{"mean": 127, "flip": true}'), pg_temp.fingerprint('{"flip": true, "mean": [127, 127.0, 1.27e2]}'), 'what is written differently is the same');
-- the same networks in a database where the detector has another name
CREATE TEMP TABLE here AS SELECT name, fingerprint, descriptor FROM facerec_models WHERE NOT builtin;
CREATE TEMP TABLE row_here AS SELECT * FROM facerec_models WHERE name = 'people';
SAVEPOINT elsewhere;
SELECT face_model_drop('people'), face_model_drop('patches') \g /dev/null
SELECT is(pg_temp.load('other', 'patch-detector.onnx', 'yunet'), 'other@' || fingerprint, 'a detector keeps its fingerprint under another name') FROM here WHERE name = 'patches';
SELECT is(pg_temp.load('people', 'patch-embedder.onnx', 'mobilefacenet', descriptor - 'detector'), 'people@' || fingerprint, 'and so do the embedders that use it') FROM here WHERE name = 'people';
SELECT face_model_drop('people') \g /dev/null
INSERT INTO facerec_models SELECT * FROM row_here;
SELECT lives_ok($$SELECT face_embed(data, 'people') FROM file WHERE name = 'ann-1.png'$$, 'a row from there finds the detector by its fingerprint');
SELECT throws_ok($$SELECT face_model_drop('other')$$, '2BP01', NULL, 'which is not dropped');
ROLLBACK TO elsewhere;
SELECT is(count(*)::int, 2, 'and what is undone leaves nothing') FROM facerec_models WHERE NOT builtin;

-- ---- refusals --------------------------------------------------------------
SELECT throws_ok($$SELECT pg_temp.load('people', 'patch-embedder-b.onnx', 'mobilefacenet')$$, '42710', 'face model "people" already exists', 'a name is not taken twice');
SELECT throws_ok($$SELECT pg_temp.load('x', 'patch-embedder.onnx', 'vgg')$$, '42704', 'face model preset "vgg" does not exist', 'unknown preset');
SELECT throws_ok($$SELECT pg_temp.load('x', 'ann-1.png', 'yunet')$$, '22P03', 'could not load face model "x"', 'not a model');
SELECT throws_ok($$SELECT pg_temp.load('x', 'patch-embedder.onnx', 'mobilefacenet', '{"input_size": 64}')$$, NULL, 'could not load face model "x"', 'a size that the network does not take');
SELECT throws_ok($$SELECT pg_temp.load('x y', 'patch-embedder.onnx', 'mobilefacenet')$$, '42602', NULL, 'a name with a space');
SELECT throws_ok($$UPDATE facerec_models SET name = 'other'$$, '55000', 'a row of facerec_models never changes', 'rows are immutable');
SELECT throws_ok($$SELECT face_model_drop('patches')$$, '2BP01', NULL, 'a detector in use is not dropped');
SELECT throws_ok($$SELECT face_model_drop('none')$$, '42704', 'face model "none" does not exist', 'what is not there is not dropped');

-- ---- labels ----------------------------------------------------------------
SELECT is(face_model(face_embedding(array_fill(1::real, ARRAY[16]), 'people')), name || '@' || fingerprint, 'an embedding names its model') FROM facerec_models WHERE name = 'people';
PREPARE embedded AS SELECT face_embed(data, 'people') FROM file WHERE name = 'ann-1.png';
CREATE TEMP TABLE kept AS EXECUTE embedded;
SELECT lives_ok($$SELECT face_model_drop(name || '@' || fingerprint) FROM facerec_models WHERE name = 'people'$$, 'a model is dropped by its label');
SELECT throws_ok('EXECUTE embedded', '42704', 'face model "people" does not exist', 'a dropped model is gone at once');
SELECT matches(face_model(face_embed), '^[0-9a-f]{8}$', 'its embeddings keep the fingerprint') FROM kept;
SELECT lives_ok($$SELECT face_model_drop('patches')$$, 'then the detector can go');
SELECT * FROM finish();
ROLLBACK;
