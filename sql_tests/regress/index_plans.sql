-- When the planner takes a faceindex, for what, and when something else.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
SET max_parallel_workers_per_gather = 0;
SET plan_cache_mode = force_generic_plan; -- $1 instead of a long constant

-- a direction from a hash
CREATE FUNCTION face(person int, dims int DEFAULT 512) RETURNS faceembedding LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT ('[' || string_agg(((hashint8extended(person * 4096 + d, 1) & 65535) - 32767.5)::text, ',') || ']')::faceembedding
	FROM generate_series(1, dims) d $$;
CREATE TABLE faces AS
	SELECT i AS id, i % 250 AS camera, i % 2 AS side, face(i) AS embedding FROM generate_series(1, 5000) i;
ALTER TABLE faces ADD PRIMARY KEY (id), ALTER embedding TYPE faceembedding(512);
CREATE INDEX faces_camera ON faces (camera);
CREATE INDEX faces_embedding ON faces USING faceindex (embedding);
VACUUM ANALYZE faces;

-- the nearest
PREPARE a(faceembedding) AS SELECT id FROM faces ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
PREPARE b(faceembedding) AS SELECT id FROM faces ORDER BY $1 <-> embedding LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
PREPARE c(faceembedding) AS SELECT id FROM faces ORDER BY embedding <=> $1, id LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE c(NULL);
PREPARE d(faceembedding, faceembedding) AS SELECT id FROM faces ORDER BY embedding <=> $1, embedding <=> $2 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE d(NULL, NULL);
-- not the furthest, not another distance, not all rows
PREPARE e(faceembedding) AS SELECT id FROM faces ORDER BY embedding <=> $1 DESC LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE e(NULL);
PREPARE f(faceembedding) AS SELECT id FROM faces ORDER BY embedding <+> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE f(NULL);
PREPARE g(faceembedding) AS SELECT id FROM faces ORDER BY embedding <=> $1;
EXPLAIN (COSTS OFF) EXECUTE g(NULL);
DEALLOCATE ALL;

-- a bound on the distance, in all its forms
PREPARE a(faceembedding, float8) AS SELECT id FROM faces WHERE embedding <=> $1 < $2;
EXPLAIN (COSTS OFF) EXECUTE a(NULL, NULL);
PREPARE b(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 <= 0.5;
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
PREPARE c(faceembedding) AS SELECT id FROM faces WHERE 0.5 > ($1 <=> embedding);
EXPLAIN (COSTS OFF) EXECUTE c(NULL);
PREPARE d(faceembedding, real) AS SELECT id FROM faces WHERE embedding <=> $1 < $2 AND camera <> 7;
EXPLAIN (COSTS OFF) EXECUTE d(NULL, NULL);
PREPARE e(faceembedding) AS SELECT id FROM faces WHERE face_distance(embedding, $1) BETWEEN 0.1 AND 0.5;
EXPLAIN (COSTS OFF) EXECUTE e(NULL);
PREPARE f(faceembedding) AS SELECT id FROM faces WHERE NOT embedding <=> $1 >= 0.5;
EXPLAIN (COSTS OFF) EXECUTE f(NULL);
PREPARE g(faceembedding) AS SELECT id FROM faces WHERE embedding <@ face_within($1, 0.5);
EXPLAIN (COSTS OFF) EXECUTE g(NULL);
PREPARE h(faceembedding) AS SELECT id FROM faces WHERE face_within($1, 0.5) @> embedding;
EXPLAIN (COSTS OFF) EXECUTE h(NULL);
PREPARE i(faceembedding) AS SELECT id FROM faces WHERE $1 % embedding;
EXPLAIN (COSTS OFF) EXECUTE i(NULL);
PREPARE j(faceembedding, text) AS SELECT id FROM faces WHERE embedding <=> $1 < face_threshold($2, 1e-4);
EXPLAIN (COSTS OFF) EXECUTE j(NULL, NULL);
DEALLOCATE ALL;
-- with an order, also when the core could do without
PREPARE a(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 < 0.5 ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
PREPARE b(faceembedding) AS SELECT id FROM faces WHERE embedding % $1 ORDER BY embedding <=> $1;
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
PREPARE c(faceembedding) AS SELECT count(*) FROM faces WHERE embedding <=> $1 < 0.5;
EXPLAIN (COSTS OFF) EXECUTE c(NULL);
-- also when the face is written twice as a subquery; not when these are two faces
EXPLAIN (COSTS OFF) SELECT id FROM faces WHERE embedding <=> (SELECT embedding FROM faces WHERE id = 7) < 0.5
	ORDER BY embedding <=> (SELECT embedding FROM faces WHERE id = 7) LIMIT 10;
EXPLAIN (COSTS OFF) SELECT id FROM faces WHERE embedding % (SELECT embedding FROM faces WHERE id = 7)
	ORDER BY embedding <=> (SELECT embedding FROM faces WHERE id = 8) LIMIT 10;
-- LIMIT does not tempt into a sequential scan: few rows are so near
PREPARE d(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 < 0.5 LIMIT 1;
EXPLAIN (COSTS OFF) EXECUTE d(NULL);
DEALLOCATE ALL;

-- what is no bound
PREPARE a(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 > 0.5;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
PREPARE b(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 < random();
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
PREPARE c(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 < camera;
EXPLAIN (COSTS OFF) EXECUTE c(NULL);
PREPARE d(faceembedding) AS SELECT id FROM faces WHERE embedding <=> embedding < 0.5;
EXPLAIN (COSTS OFF) EXECUTE d(NULL);
PREPARE e(faceembedding) AS SELECT id FROM faces WHERE embedding <-> $1 < 0.5;
EXPLAIN (COSTS OFF) EXECUTE e(NULL);
-- what is one, but far away
PREPARE f(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 < 1.5;
EXPLAIN (COSTS OFF) EXECUTE f(NULL);
DEALLOCATE ALL;

-- how many rows are expected; 0.9 is one standard deviation off
CREATE FUNCTION expected(condition text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	EXECUTE 'EXPLAIN SELECT FROM faces, (SELECT face(1) AS q OFFSET 0) q WHERE ' || condition INTO line;
	RETURN substring(line from 'rows=(\d+)');
END $$;
SELECT bound, expected(format('embedding <=> q < %s', bound)) AS rows,
	expected(format('embedding <=> face(1) < %s', bound)) AS rows_of_constant,
	expected(format('embedding <=> face(1) < %s AND id < 2500', bound)) AS and_half,
	(SELECT count(*) FROM faces WHERE embedding <=> face(1) < bound) AS actual
FROM unnest(ARRAY[-1, 0.2, 0.7, 0.8, 0.9, 1, 2.5]) bound;

-- other conditions: a btree on few rows, the index for many
PREPARE a(faceembedding) AS SELECT id FROM faces WHERE camera = 7 ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
PREPARE b(faceembedding) AS SELECT id FROM faces WHERE id = 7 AND embedding <=> $1 < 0.5;
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
PREPARE c(faceembedding) AS SELECT id FROM faces WHERE camera > 10 ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE c(NULL);
DROP INDEX faces_camera;
-- too few rows pass for the index to be of use
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
-- a filter column
CREATE INDEX faces_camera_embedding ON faces USING faceindex (embedding, camera);
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
PREPARE d(faceembedding) AS SELECT id FROM faces WHERE camera = 7 AND embedding <=> $1 < 0.6 AND id > 5 ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE d(NULL);
PREPARE e(faceembedding, bigint) AS SELECT id FROM faces WHERE camera = $2 ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE e(NULL, NULL);
DROP INDEX faces_camera_embedding;
DEALLOCATE ALL;
-- filter columns with one of some values, and of flags
CREATE INDEX faces_flags ON faces USING faceindex (embedding, camera, (side = 1), side);
ANALYZE faces;
SET enable_seqscan = off;
PREPARE a(faceembedding, int[]) AS SELECT id FROM faces WHERE camera = ANY ($2) AND side IN (0, 1) ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE a(NULL, NULL);
PREPARE b(faceembedding) AS SELECT id FROM faces WHERE (side = 1) IS TRUE AND embedding <=> $1 < 0.5 ORDER BY embedding <=> $1, id LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
PREPARE c(faceembedding) AS SELECT id FROM faces WHERE (side = 1) IS FALSE AND camera IN (7, 8) AND embedding % $1;
EXPLAIN (COSTS OFF) EXECUTE c(NULL);
PREPARE d(faceembedding) AS SELECT f.id FROM faces q, LATERAL (SELECT id FROM faces f WHERE f.camera IN (1, 2) ORDER BY f.embedding <=> q.embedding LIMIT 3) f WHERE q.id < 5;
EXPLAIN (COSTS OFF) EXECUTE d(NULL);
PREPARE g(faceembedding, int) AS SELECT id FROM faces WHERE camera >= $2 AND 9 > camera AND side + 0 < 2 ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE g(NULL, NULL);
-- not what depends on the row
PREPARE e(faceembedding) AS SELECT id FROM faces WHERE camera = ANY (ARRAY[side, 7]) ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE e(NULL);
-- the nearest to one face of those that match any of some
PREPARE f(faceembedding, faceembedding[]) AS SELECT id FROM faces WHERE embedding % ANY ($2) ORDER BY embedding <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE f(NULL, NULL);
-- a flag that costs nothing to check; rows beyond the histogram
PREPARE h(faceembedding) AS SELECT id FROM faces WHERE camera > 10000 AND (side = 1) IS TRUE ORDER BY embedding <=> $1 LIMIT 3;
EXPLAIN (COSTS OFF) EXECUTE h(NULL);
RESET enable_seqscan;
-- a sample is taken from the table
EXPLAIN (COSTS OFF) SELECT id FROM faces TABLESAMPLE bernoulli (0) WHERE camera IN (7, 8) ORDER BY embedding <=> (SELECT embedding FROM faces WHERE id = 1) LIMIT 3;
SELECT count(*) FROM faces TABLESAMPLE bernoulli (0) WHERE embedding <=> (SELECT embedding FROM faces WHERE id = 1) < 0.5;
SELECT id FROM faces TABLESAMPLE bernoulli (0) ORDER BY embedding <=> (SELECT embedding FROM faces WHERE id = 1), id LIMIT 3;
DROP INDEX faces_flags;
DEALLOCATE ALL;

-- joins
EXPLAIN (COSTS OFF) SELECT q.id, f.id FROM faces q, LATERAL (SELECT id FROM faces f ORDER BY f.embedding <=> q.embedding LIMIT 3) f WHERE q.id < 5;
EXPLAIN (COSTS OFF) SELECT q.id, f.id FROM faces q JOIN faces f ON f.embedding <=> q.embedding < 0.4 WHERE q.id < 5;
EXPLAIN (COSTS OFF) SELECT q.id, f.id FROM faces q LEFT JOIN faces f ON 0.4 >= (q.embedding <=> f.embedding) AND f.id > q.id WHERE q.id < 5;
EXPLAIN (COSTS OFF) SELECT q.id, f.id FROM faces q JOIN faces f ON f.embedding % q.embedding WHERE q.id = 5;
EXPLAIN (COSTS OFF) SELECT q.id FROM faces q WHERE q.id < 5 AND NOT EXISTS (SELECT FROM faces f WHERE f.embedding <=> q.embedding < 0.4 AND f.id <> q.id);
-- the bound of another table
EXPLAIN (COSTS OFF) SELECT f.id FROM (VALUES (0.4), (0.5)) q (c), faces f WHERE f.embedding <=> (SELECT embedding FROM faces WHERE id = 1) < q.c;

-- nothing leaks past row security
CREATE ROLE regress_face_reader;
GRANT SELECT ON faces TO regress_face_reader;
ALTER TABLE faces ENABLE ROW LEVEL SECURITY;
CREATE POLICY side ON faces USING (side = 1);
PREPARE a(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 < 0.5;
SET ROLE regress_face_reader;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
RESET ROLE;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
DEALLOCATE a;
ALTER TABLE faces DISABLE ROW LEVEL SECURITY;
DROP POLICY side ON faces;
REVOKE SELECT ON faces FROM regress_face_reader;
DROP ROLE regress_face_reader;

-- a part of the table
DROP INDEX faces_embedding;
CREATE INDEX faces_embedding ON faces USING faceindex (embedding) WHERE side = 1;
PREPARE a(faceembedding) AS SELECT id FROM faces WHERE side = 1 AND embedding <=> $1 < 0.5 ORDER BY embedding <=> $1 LIMIT 3;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
PREPARE b(faceembedding) AS SELECT id FROM faces WHERE embedding <=> $1 < 0.5 ORDER BY embedding <=> $1 LIMIT 3;
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
DEALLOCATE ALL;

-- settings
SELECT name, boot_val, min_val, max_val, context FROM pg_settings WHERE name LIKE 'faceindex.%' ORDER BY name;
SET faceindex.recall = 0.5;
SET faceindex.probes = -1;
SET faceindex.no_such_setting = 1;
DROP TABLE faces;

-- a table of a few rows is read faster without
CREATE TABLE few AS SELECT i AS id, face(i) AS embedding FROM generate_series(1, 20) i;
CREATE INDEX ON few USING faceindex (embedding);
VACUUM ANALYZE few;
PREPARE a(faceembedding) AS SELECT id FROM few ORDER BY embedding <=> $1 LIMIT 3;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
PREPARE b(faceembedding) AS SELECT id FROM few WHERE embedding <=> $1 < 0.5;
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
DEALLOCATE ALL;
DROP TABLE few;

-- partitions
CREATE TABLE parts (id int, embedding faceembedding) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (2000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (2000) TO (5000);
INSERT INTO parts SELECT i, face(i) FROM generate_series(1, 4000) i;
CREATE INDEX parts_embedding ON parts USING faceindex (embedding);
VACUUM ANALYZE parts;
PREPARE a(faceembedding) AS SELECT id FROM parts ORDER BY embedding <=> $1 LIMIT 3;
EXPLAIN (COSTS OFF) EXECUTE a(NULL);
PREPARE b(faceembedding) AS SELECT id FROM parts WHERE embedding <=> $1 < 0.5 ORDER BY embedding <=> $1 LIMIT 3;
EXPLAIN (COSTS OFF) EXECUTE b(NULL);
PREPARE c(faceembedding) AS SELECT id FROM parts WHERE id < 2000 AND embedding <=> $1 < 0.5;
EXPLAIN (COSTS OFF) EXECUTE c(NULL);
DEALLOCATE ALL;
DROP TABLE parts;
DROP FUNCTION expected;
DROP FUNCTION face;
