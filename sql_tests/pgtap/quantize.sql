-- An 8-bit variant of a real network, calibrated on some people's photos and
-- compared with its original on those of others.  Skipped without test data.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
\set present `test -r "${FACEREC_TESTDATA:-../shared}/models/mobilefacenet-128.onnx" && test -d "${FACEREC_TESTDATA:-../shared}/portraits" && echo 1 || echo 0`
BEGIN;
\if :present
SELECT plan(9);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd "${FACEREC_TESTDATA:-../shared}" && for f in portraits/*.jpg models/yunet_n_dynamic.onnx models/mobilefacenet-128.onnx; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
-- portraits are called person-name-number; every second person calibrates
CREATE TEMP TABLE photo AS
	SELECT name, regexp_replace(name, '-[^-]*$', '') AS person, data, dense_rank() OVER (ORDER BY regexp_replace(name, '-[^-]*$', '')) % 2 = 1 AS calibrates
	FROM file WHERE name ~ '\.jpg$';
SELECT lives_ok($$SELECT face_model_load('yunet', data, 'yunet') FROM file WHERE name = 'yunet_n_dynamic.onnx'$$, 'a detector');
SELECT lives_ok($$SELECT face_model_load('float', data, 'mobilefacenet') FROM file WHERE name = 'mobilefacenet-128.onnx'$$, 'an embedder');
SELECT matches(face_model_quantize('float', 'bytes', 'SELECT data FROM photo WHERE calibrates ORDER BY name'), '^bytes@[0-9a-f]{8}$', 'its variant');
SELECT cmp_ok((descriptor->>'int8_cosine')::float8, '>=', 0.995::float8, 'cosine of held-out faces: ' || (descriptor->>'int8_cosine')) FROM facerec_models WHERE name = 'bytes';
SELECT is((descriptor->>'int8_layers')::int + (descriptor->>'int8_float_layers')::int, 32, 'every layer is counted') FROM facerec_models WHERE name = 'bytes';
SELECT cmp_ok((SELECT sum(octet_length(w))::float8 FROM facerec_models, unnest(weights) w WHERE name = 'bytes'), '<',
	(SELECT 0.4 * sum(octet_length(w))::float8 FROM facerec_models, unnest(weights) w WHERE name = 'float'), 'it is much smaller');
-- the other people
CREATE TEMP TABLE embedded AS
	SELECT name, person, face_embed(data, 'float') AS f, face_embed(data, 'bytes') AS b FROM photo WHERE NOT calibrates;
SELECT cmp_ok(avg(cosine), '>=', 0.995::float8, 'mean cosine of faces of other people: ' || round(avg(cosine)::numeric, 5))
FROM (SELECT (SELECT sum(x * y) FROM unnest(f::real[], b::real[]) u(x, y))::float8 AS cosine FROM embedded WHERE f IS NOT NULL) s;
CREATE TEMP TABLE pair AS
	SELECT l.person = r.person AS mated, l.f <=> r.f AS f, l.b <=> r.b AS b FROM embedded l JOIN embedded r ON l.name < r.name;
SELECT cmp_ok(avg(abs(f - b)), '<', 0.02::float8, 'distances differ by ' || round(avg(abs(f - b))::numeric, 4) || ' on average, at most ' || round(max(abs(f - b))::numeric, 4)) FROM pair;
-- at the distance that parts the original's pairs best, few change sides
SELECT cmp_ok(avg(((f < limit_f) <> (b < limit_f))::int::float8), '<', 0.02::float8, 'pairs that change sides: ' || count(*) FILTER (WHERE (f < limit_f) <> (b < limit_f)) || ' of ' || count(*))
FROM pair, (SELECT (avg(f) FILTER (WHERE mated) + avg(f) FILTER (WHERE NOT mated)) / 2 AS limit_f FROM pair) l;
\else
SELECT plan(1);
SELECT skip('the test data folder is absent');
\endif
SELECT * FROM finish();
ROLLBACK;
