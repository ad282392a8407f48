-- Properties of the type faceembedding, on random vectors.
BEGIN;
SELECT plan(40);

SELECT has_type('faceembedding');
SELECT has_function('face_distance', ARRAY['faceembedding', 'faceembedding']);
SELECT function_returns('face_distance', ARRAY['faceembedding', 'faceembedding'], 'double precision');
SELECT function_returns('face_similarity', ARRAY['faceembedding', 'faceembedding'], 'double precision');
SELECT function_returns('face_dims', ARRAY['faceembedding'], 'integer');
SELECT function_returns('face_model', ARRAY['faceembedding'], 'text');
SELECT volatility_is('face_distance', ARRAY['faceembedding', 'faceembedding'], 'immutable');
SELECT volatility_is('face_model', ARRAY['faceembedding'], 'stable');
SELECT is_strict('face_distance', ARRAY['faceembedding', 'faceembedding']);
SELECT is_aggregate('avg', ARRAY['faceembedding']);
SELECT is_aggregate('face_template', ARRAY['faceembedding', 'double precision']);
SELECT has_operator('faceembedding', '<=>', 'faceembedding', 'double precision');
SELECT has_operator('faceembedding', '<->', 'faceembedding', 'double precision');
SELECT has_operator('faceembedding', '<+>', 'faceembedding', 'double precision');
SELECT has_operator('faceembedding', '<#>', 'faceembedding', 'double precision');
SELECT cast_context_is('faceembedding', 'real[]', 'assignment');
SELECT hasnt_cast('real[]', 'faceembedding');
SELECT is(typstorage::text, 'm', 'stored inline as long as the row fits a page')
FROM pg_type WHERE oid = 'faceembedding'::regtype;

-- Random vectors: Gaussian, sparse and with a wide range of magnitudes.
SELECT setseed(0.5);
CREATE TEMPORARY TABLE random_vectors (id int, kind text, dims int, e faceembedding);
CREATE FUNCTION pg_temp.random_text(kind text, dims int) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT '[' || string_agg((CASE kind
		WHEN 'gaussian' THEN sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())
		WHEN 'sparse' THEN CASE WHEN random() < 0.9 THEN 0 ELSE random() - 0.5 END
		ELSE (random() - 0.5) * 2 ^ (-30 * random()) END)::real::text, ',') || ',1e-3]'
	FROM generate_series(1, dims - 1)
$$;
INSERT INTO random_vectors
SELECT row_number() OVER (), kind, dims, ('MODEL=1f3c9a7e;' || pg_temp.random_text(kind, dims))::faceembedding
FROM unnest('{gaussian,sparse,wide}'::text[]) kind, unnest('{2,3,64,128,512,1000}'::int[]) dims, generate_series(1, 10);

SELECT is(count(*), 180::bigint, 'all random vectors are embeddings') FROM random_vectors;
SELECT is_empty($$ SELECT id FROM random_vectors WHERE face_dims(e) <> dims $$, 'dimensions are kept');
SELECT is_empty($$ SELECT id FROM random_vectors WHERE e <> e::text::faceembedding $$, 'text is exact');
SELECT is_empty($$ SELECT id FROM random_vectors WHERE e::text <> e::text::faceembedding::text $$, 'text is stable');
SELECT is_empty($$ SELECT id FROM random_vectors WHERE e::real[] <> (e::text::faceembedding)::real[] $$, 'arrays are exact');
SELECT is_empty($$ SELECT id FROM random_vectors WHERE e <> ('MODEL=1f3c9a7e;[' || array_to_string(e::real[], ',') || ']')::faceembedding $$,
	'the array as text is the same embedding');
SELECT is_empty($$ SELECT id FROM random_vectors WHERE e <=> e <> 0 OR e <-> e <> 0 OR e <+> e <> 0 $$,
	'the distance to itself is exactly 0');
SELECT is_empty($$ SELECT id FROM random_vectors WHERE abs((SELECT sqrt(sum(x::float8 * x)) FROM unnest(e::real[]) x) - 1) > 0.00074 $$,
	'stored vectors have norm 1');
SELECT is_empty($$ SELECT a.id FROM random_vectors a JOIN random_vectors b USING (dims)
	WHERE a.e <=> b.e <> b.e <=> a.e OR a.e <-> b.e <> b.e <-> a.e OR a.e <+> b.e <> b.e <+> a.e $$,
	'distances are symmetric');
SELECT is_empty($$ SELECT a.id FROM random_vectors a JOIN random_vectors b USING (dims)
	WHERE a.e <=> b.e NOT BETWEEN 0 AND 2 $$, 'cosine distances lie in 0..2');
SELECT is_empty($$ SELECT a.id FROM random_vectors a JOIN random_vectors b USING (dims)
	WHERE abs((a.e <-> b.e) ^ 2 / 2 - (a.e <=> b.e)) > 1e-6
		OR abs(1 - face_similarity(a.e, b.e) - (a.e <=> b.e)) > 1e-15
		OR abs(1 + (a.e <#> b.e) - (a.e <=> b.e)) > 1e-15 $$, 'distances agree with each other');
SELECT is_empty($$ SELECT a.id FROM random_vectors a JOIN random_vectors b USING (dims), LATERAL (
		SELECT sum(x::float8 * y) / sqrt(sum(x::float8 * x)) / sqrt(sum(y::float8 * y)) AS cosine
		FROM unnest(a.e::real[], b.e::real[]) u (x, y)) reference
	WHERE a.dims <= 64 AND abs(1 - cosine - (a.e <=> b.e)) > 1e-6 $$, 'cosine distances equal those computed in SQL');
SELECT is_empty($$ SELECT a.id FROM random_vectors a JOIN random_vectors b USING (dims) JOIN random_vectors c USING (dims)
	WHERE dims <= 3 AND (a.e <-> c.e) > (a.e <-> b.e) + (b.e <-> c.e) + 1e-6 $$, 'Euclidean distances fulfil the triangle inequality');

-- The order is total and agrees with equality and hash.
SELECT is_empty($$ SELECT a.id FROM random_vectors a, random_vectors b
	WHERE (a.e < b.e)::int + (a.e = b.e)::int + (a.e > b.e)::int <> 1
		OR sign(faceembedding_cmp(a.e, b.e)) <> -sign(faceembedding_cmp(b.e, a.e)) $$, 'exactly one of <, = and > holds');
SELECT is_empty($$ SELECT id FROM (SELECT id, e, lag(e) OVER (ORDER BY e) AS previous FROM random_vectors) s WHERE previous > e $$,
	'sorting sorts');
SELECT is_empty($$ SELECT a.id FROM random_vectors a, random_vectors b
	WHERE a.e = b.e AND faceembedding_hash(a.e) <> faceembedding_hash(b.e) $$, 'equal values hash alike');

-- Templates.
SELECT is_empty($$ SELECT dims FROM random_vectors WHERE kind = 'gaussian' GROUP BY dims
	HAVING avg(e) <=> face_template(e, 2.5) > 1e-6 $$, 'equal weights give the plain mean');
SELECT is_empty($$ SELECT id FROM random_vectors r WHERE e <=> (SELECT avg(x.e) FROM random_vectors x WHERE x.id = r.id) > 1e-6 $$,
	'the mean of one embedding is the embedding');

-- Errors.
SELECT throws_ok($$ SELECT 'MODEL=1f3c9a7e;[1]'::faceembedding <=> 'MODEL=9b1d22c0;[1]' $$, '22000',
	'cannot compare face embeddings of different models');
SELECT throws_ok($$ SELECT '[1]'::faceembedding <=> '[1,1]' $$, '22000', 'different face embedding dimensions 1 and 2');
SELECT throws_ok($$ SELECT '[1,2,3]'::faceembedding::faceembedding(4) $$, '22000', 'expected 4 dimensions, not 3');
SELECT lives_ok($$ SELECT 'MODEL=1f3c9a7e;[1]'::faceembedding <=> '[1]' $$, 'an unknown model compares with any');

SELECT * FROM finish();
ROLLBACK;
