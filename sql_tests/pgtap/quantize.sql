-- An 8-bit variant of the builtin embedder, calibrated on some people's photos
-- and compared with its original on those of others.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
\set file_bytes `wc -c <src/networks/embedder.onnx`
BEGIN;
SELECT plan(7);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data/portraits && for f in [0-9]*.jpg; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
-- portraits are called number-person-picture.jpg; every second person calibrates
CREATE TEMP TABLE photo AS
	SELECT name, split_part(name, '-', 2) AS person, decode(base64, 'base64') AS data, split_part(name, '-', 1)::int % 2 = 1 AS calibrates FROM input;
SELECT matches(face_model_quantize('facerec-embedder', 'bytes', 'SELECT data FROM photo WHERE calibrates ORDER BY name'), '^bytes@[0-9a-f]{8}$', 'its variant');
SELECT cmp_ok((descriptor->>'int8_cosine')::float8, '>=', 0.995::float8, 'cosine of held-out faces: ' || (descriptor->>'int8_cosine')) FROM facerec_models WHERE name = 'bytes';
SELECT cmp_ok((descriptor->>'int8_layers')::int, '>=', 10, 'layers in 8 bits: ' || (descriptor->>'int8_layers')) FROM facerec_models WHERE name = 'bytes';
SELECT cmp_ok((SELECT sum(octet_length(w))::float8 FROM facerec_models, unnest(weights) w WHERE name = 'bytes'), '<', 0.6 * :file_bytes::float8, 'it is smaller than the halves of the original');
-- the other people
CREATE TEMP TABLE embedded AS
	SELECT name, person, face_embed(data, 'facerec-embedder') AS f, face_embed(data, 'bytes') AS b FROM photo WHERE NOT calibrates;
SELECT cmp_ok(avg(cosine), '>=', 0.995::float8, 'mean cosine of faces of other people: ' || round(avg(cosine)::numeric, 5))
FROM (SELECT (SELECT sum(x * y) FROM unnest(f::real[], b::real[]) u(x, y))::float8 AS cosine FROM embedded WHERE f IS NOT NULL) s;
CREATE TEMP TABLE pair AS
	SELECT l.person = r.person AS mated, l.f <=> r.f AS f, l.b <=> r.b AS b FROM embedded l JOIN embedded r ON l.name < r.name;
SELECT cmp_ok(avg(abs(f - b)), '<', 0.02::float8, 'distances differ by ' || round(avg(abs(f - b))::numeric, 4) || ' on average, at most ' || round(max(abs(f - b))::numeric, 4)) FROM pair;
-- at the distance that parts the original's pairs best, few change sides
SELECT cmp_ok(avg(((f < limit_f) <> (b < limit_f))::int::float8), '<', 0.02::float8, 'pairs that change sides: ' || count(*) FILTER (WHERE (f < limit_f) <> (b < limit_f)) || ' of ' || count(*))
FROM pair, (SELECT (avg(f) FILTER (WHERE mated) + avg(f) FILTER (WHERE NOT mated)) / 2 AS limit_f FROM pair) l;
SELECT * FROM finish();
ROLLBACK;
