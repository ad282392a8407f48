-- Distances, the total order, equality and hash of face embeddings.

-- distances of unit vectors
SELECT round((a <=> b)::numeric, 4) AS cosine, round((a <-> b)::numeric, 4) AS euclidean,
	round((a <+> b)::numeric, 4) AS taxicab, round((a <#> b)::numeric, 4) AS inner_product,
	round(face_similarity(a, b)::numeric, 4) AS similarity
FROM (VALUES
	('[1,0]'::faceembedding, '[1,0]'::faceembedding),
	('[1,0]', '[0,1]'),
	('[1,0]', '[-1,0]'),
	('[1,0]', '[1,1]'),
	('[3,4]', '[4,3]'),
	('[1,2,3]', '[-3,2,1]')) AS pairs (a, b);
SELECT face_distance('[1,2]', NULL) AS strict;

-- the distance to itself is exactly 0, distances are symmetric and in range,
-- on every instruction set; and all instruction sets give the same bits
CREATE TABLE vectors (id int, e faceembedding);
INSERT INTO vectors
SELECT i, ('MODEL=1f3c9a7e;[' || string_agg((sin(i * 131.7 + d * d * 0.37) * exp(cos(d * i)))::text, ',') || ']')::faceembedding
FROM generate_series(1, 60) i, generate_series(1, 509) d GROUP BY i;
CREATE TABLE distances (isa text, a int, b int, cosine float8, euclidean float8, taxicab float8);
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY '{generic,avx2,avx512,auto}'::text[] LOOP
		BEGIN
			PERFORM set_config('facerec.isa', name, false);
		EXCEPTION WHEN invalid_parameter_value THEN
			CONTINUE;   -- not on this CPU
		END;
		INSERT INTO distances SELECT name, a.id, b.id, a.e <=> b.e, a.e <-> b.e, a.e <+> b.e
		FROM vectors a, vectors b;
	END LOOP;
END $$;
RESET facerec.isa;
SELECT count(*) FILTER (WHERE a = b AND (cosine, euclidean, taxicab) IS DISTINCT FROM (0, 0, 0)) AS not_zero,
	count(*) FILTER (WHERE a <> b AND cosine <= 0.001) AS too_near,
	count(*) FILTER (WHERE cosine NOT BETWEEN 0 AND 2) AS out_of_range,
	count(*) FILTER (WHERE abs(euclidean ^ 2 / 2 - cosine) > 1e-6) AS inconsistent
FROM distances;
SELECT count(*) AS asymmetric FROM distances x JOIN distances y
ON x.isa = y.isa AND x.a = y.b AND x.b = y.a AND (x.cosine, x.euclidean, x.taxicab) <> (y.cosine, y.euclidean, y.taxicab);
SELECT count(*) AS other_bits FROM distances x JOIN distances y
ON y.isa = 'generic' AND x.a = y.a AND x.b = y.b AND (x.cosine, x.euclidean, x.taxicab) <> (y.cosine, y.euclidean, y.taxicab);
DROP TABLE distances;

-- the nearest neighbour in the obvious query
SELECT v.id FROM vectors v, (SELECT e AS probe FROM vectors WHERE id = 17) q
ORDER BY v.e <=> q.probe LIMIT 1;

-- models: two known ones cannot be compared, unknown fits all
SELECT 'MODEL=1f3c9a7e;[1,0]'::faceembedding <=> 'MODEL=9b1d22c0;[1,0]';
SELECT 'MODEL=1f3c9a7e;[1,0]'::faceembedding <-> 'MODEL=9b1d22c0;[1,0]';
SELECT 'MODEL=1f3c9a7e;[1,0]'::faceembedding <+> 'MODEL=9b1d22c0;[1,0]';
SELECT 'MODEL=1f3c9a7e;[1,0]'::faceembedding <#> 'MODEL=9b1d22c0;[1,0,0]';
SELECT face_similarity('MODEL=1f3c9a7e;[1,0]', 'MODEL=9b1d22c0;[1,0]');
SELECT 'MODEL=1f3c9a7e;[1,0]'::faceembedding <=> '[1,0]' AS unknown_right,
	'[1,0]'::faceembedding <=> 'MODEL=1f3c9a7e;[1,0]' AS unknown_left;
SELECT '[1,0]'::faceembedding <=> '[1,0,0]';
\set VERBOSITY sqlstate
SELECT 'MODEL=1f3c9a7e;[1,0]'::faceembedding <=> 'MODEL=9b1d22c0;[1,0]';
SELECT '[1,0]'::faceembedding <=> '[1,0,0]';
\set VERBOSITY default

-- total order: fingerprint, dimensions, values; it compares anything
SELECT e FROM (VALUES
	('MODEL=ffffffff;[1]'::faceembedding), ('MODEL=00000001;[1,0]'), ('[0,1]'), ('[1,0]'),
	('[-1,0]'), ('[0,-1]'), ('[1e-7,-1]'), ('[-1e-7,-1]'), ('[1]'), ('[-1]'), ('MODEL=80000000;[1]')) AS v (e)
ORDER BY e;
SELECT a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt,
	faceembedding_cmp(a, b) AS cmp
FROM (VALUES
	('[1]'::faceembedding, '[1]'::faceembedding), ('[-1]', '[1]'), ('[1]', '[-1]'),
	('MODEL=1f3c9a7e;[1]', '[1]'), ('[2]', '[3]')) AS pairs (a, b);

-- DISTINCT, GROUP BY, joins
CREATE TABLE twice AS SELECT e FROM vectors UNION ALL SELECT e FROM vectors;
SELECT count(*), count(DISTINCT e) FROM twice;
SET enable_hashagg = off;
SELECT count(*) FROM (SELECT e FROM twice GROUP BY e) s;
SET enable_hashagg = on;
SELECT count(*) FROM (SELECT e FROM twice GROUP BY e) s;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM twice t JOIN vectors v USING (e);
SELECT count(*) FROM twice t JOIN vectors v USING (e);
SET enable_mergejoin = on;
SET enable_hashjoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM twice t JOIN vectors v USING (e);
SELECT count(*) FROM twice t JOIN vectors v USING (e);
RESET enable_hashjoin;
RESET enable_nestloop;
DROP TABLE twice;

-- btree and hash indexes
CREATE UNIQUE INDEX vectors_btree ON vectors (e);
CREATE INDEX vectors_hash ON vectors USING hash (e);
SET enable_seqscan = off;
SELECT count(*) FROM vectors WHERE e = (SELECT e FROM vectors WHERE id = 5);
DROP INDEX vectors_hash;
SELECT count(*) FROM vectors WHERE e = (SELECT e FROM vectors WHERE id = 5);
SELECT count(*) FROM vectors WHERE e >= 'MODEL=1f3c9a7e;[1]' AND e < 'MODEL=1f3c9a7f;[1]';
RESET enable_seqscan;
INSERT INTO vectors SELECT 61, e FROM vectors WHERE id = 5 ON CONFLICT DO NOTHING;
SELECT count(*) FROM vectors;

-- the hash is consistent with equality, and its two forms agree
SELECT count(*) FILTER (WHERE faceembedding_hash(e) <> faceembedding_hash(e::text::faceembedding)) AS inconsistent,
	count(*) FILTER (WHERE faceembedding_hash(e) <>
		(faceembedding_hash_extended(e, 0) & 4294967295)::bit(32)::int) AS disagree,
	count(DISTINCT faceembedding_hash_extended(e, 7)) AS different
FROM vectors;
CREATE TABLE parts (e faceembedding) PARTITION BY HASH (e);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT e FROM vectors;
SELECT count(*), count(DISTINCT tableoid) AS partitions FROM parts;
DROP TABLE parts, vectors;

-- every object of the type has a comment, every function its marks
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.proname ~ '^(faceembedding|face_(dims|model$|distance|similarity|l1|l2|negative|template)|facerec_(version|cpu)$)'
	AND (obj_description(p.oid, 'pg_proc') IS NULL OR p.proparallel <> 's');
SELECT o.oid::regoperator FROM pg_operator o
WHERE o.oprleft = 'faceembedding'::regtype AND obj_description(o.oid, 'pg_operator') IS NULL;
SELECT opcname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod
WHERE opcintype = 'faceembedding'::regtype AND amname IN ('btree', 'hash') ORDER BY amname;
