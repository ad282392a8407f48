-- LIMIT and a faceindex: rows come in the exact order whatever is set, and as
-- many as there are.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
SET max_parallel_workers_per_gather = 0;
SET jit = off; -- costs of disabled plans would switch it on
SET enable_seqscan = off;
SET enable_bitmapscan = off;

-- a direction from a hash
CREATE FUNCTION face(person int, dims int DEFAULT 64) RETURNS faceembedding LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT ('[' || string_agg(((hashint8extended(person * 4096 + d, 1) & 65535) - 32767.5)::text, ',') || ']')::faceembedding
	FROM generate_series(1, dims) d $$;
CREATE TABLE faces AS SELECT i AS id, i % 20 AS camera, face(i) AS embedding FROM generate_series(1, 8000) i;
CREATE INDEX faces_embedding ON faces USING faceindex (embedding) WITH (lists = 64);
VACUUM ANALYZE faces;
-- what is asked: faces of the table and strangers
CREATE TABLE asked AS SELECT i AS id, face(i) AS embedding FROM generate_series(-6, 6) i;

-- For each face that is asked for: the rows, how many are out of order, how
-- many too few, and how many are not among the nearest.
CREATE FUNCTION judge(clauses text, expected int, OUT uses_index boolean, OUT late bigint, OUT short bigint, OUT share numeric)
LANGUAGE plpgsql AS $$
DECLARE
	line text;
	query text := format('SELECT f.id, f.embedding <=> q AS d FROM faces f %s', clauses);
	face faceembedding;
	is_late bigint;
	ids int[];
	nearest int[];
BEGIN
	late := 0; short := 0; share := 0; uses_index := false;
	FOR face IN SELECT embedding FROM asked LOOP
		-- as a constant, so that LIMIT is in the plan as it is here
		query := format('SELECT id, d FROM (SELECT f.id, f.embedding <=> %1$L AS d FROM faces f %2$s) q', face, format(clauses, face));
		IF NOT uses_index THEN
			FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
				uses_index := uses_index OR line ~ 'Index Scan using faces_embedding';
			END LOOP;
		END IF;
		EXECUTE 'SELECT count(*) FILTER (WHERE is_late), array_agg(id) FROM (SELECT id, d < lag(d) OVER () AS is_late FROM (' || query || ') q) q'
			INTO is_late, ids;
		SET LOCAL enable_indexscan = off;
		EXECUTE 'SELECT array_agg(id) FROM (' || query || ') q' INTO nearest;
		SET LOCAL enable_indexscan = on;
		late := late + is_late;
		short := short + greatest(expected - coalesce(cardinality(ids), 0), 0);
		share := share + (SELECT count(*) FROM unnest(ids) id WHERE id = ANY (nearest))::numeric / cardinality(nearest);
	END LOOP;
	share := share / (SELECT count(*) FROM asked);
END $$;
CREATE FUNCTION judge_all(least_found numeric)
RETURNS TABLE (question text, uses_index boolean, late bigint, short bigint, is_found boolean) LANGUAGE sql AS $$
	SELECT question, j.uses_index, j.late, j.short, j.share >= CASE WHEN question ~ '^[1-6]' THEN least_found ELSE 1 END
	FROM (VALUES
		('1 one', 'ORDER BY f.embedding <=> %L LIMIT 1', 1),
		('2 ten', 'ORDER BY f.embedding <=> %L LIMIT 10', 10),
		('3 hundred', 'ORDER BY f.embedding <=> %L LIMIT 100', 100),
		('4 page', 'ORDER BY f.embedding <=> %L LIMIT 10 OFFSET 90', 10),
		('5 ties', 'ORDER BY f.embedding <=> %L FETCH FIRST 10 ROWS WITH TIES', 10),
		('6 two orders', 'ORDER BY f.embedding <=> %L, f.id LIMIT 20', 20),
		('7 filter', 'WHERE f.camera = 7 ORDER BY f.embedding <=> %L LIMIT 10', 10),
		('8 more than there are', 'WHERE f.camera = 7 ORDER BY f.embedding <=> %L LIMIT 500', 400)
	) AS questions (question, clauses, expected),
	judge(clauses, expected) j
	ORDER BY question $$;
SELECT * FROM judge_all(1);
SET faceindex.recall = 0.9;
SELECT * FROM judge_all(0.85);
SET faceindex.probes = 4;
SELECT * FROM judge_all(0.1);
RESET faceindex.recall;
SELECT * FROM judge_all(0.1);

-- without LIMIT nothing is missed, whatever the settings
SET faceindex.probes = 1;
SET faceindex.recall = 0.9;
SELECT count(*), count(*) FILTER (WHERE is_late) AS late
FROM (SELECT d < lag(d) OVER () AS is_late FROM (SELECT embedding <=> face(-1) AS d FROM faces ORDER BY embedding <=> face(-1)) q) q;
-- nor within a bound
SELECT count(*) FROM (SELECT id FROM faces WHERE embedding <=> face(-1) < 0.8 ORDER BY embedding <=> face(-1) LIMIT 1000) q;
SELECT count(*) FROM (SELECT id FROM faces WHERE embedding <=> face(-1) < 0.8) q;
SELECT count(*) FROM (SELECT embedding <=> face(-1) AS d FROM faces OFFSET 0) q WHERE d < 0.8;
-- a cursor goes beyond the LIMIT of nobody
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM faces ORDER BY embedding <=> face(-1);
MOVE ALL FROM c;
ROLLBACK;
-- a list that has fewer rows than LIMIT wants
SELECT count(*) FROM (SELECT id FROM faces ORDER BY embedding <=> face(-1) LIMIT 1000) q;
SELECT count(*) FROM (SELECT id FROM faces ORDER BY embedding <=> face(-1) LIMIT 20000) q;
-- rows that are dead, or locked by nobody
BEGIN;
DELETE FROM faces WHERE id IN (SELECT id FROM faces ORDER BY embedding <=> face(-1) LIMIT 50);
SELECT count(*) FROM (SELECT id FROM faces ORDER BY embedding <=> face(-1) LIMIT 60) q;
SELECT count(*) FROM (SELECT id FROM faces ORDER BY embedding <=> face(-1) LIMIT 60 FOR UPDATE SKIP LOCKED) q;
ROLLBACK;
RESET faceindex.probes;
RESET faceindex.recall;

-- LIMIT as a parameter, an expression, not there, from a sub-select
SET plan_cache_mode = force_generic_plan;
PREPARE few(int, int) AS SELECT id FROM faces ORDER BY embedding <=> face(5) LIMIT $1 + 1 OFFSET $2;
EXECUTE few(0, 0);
EXECUTE few(-1, 0);
SELECT count(*) FROM (SELECT id FROM faces ORDER BY embedding <=> face(5) LIMIT NULL) q;
EXECUTE few(-2, 0);
DEALLOCATE few;
RESET plan_cache_mode;
SELECT count(*) FROM (SELECT id FROM faces ORDER BY embedding <=> face(5) LIMIT (SELECT 7) OFFSET (SELECT 3)) q;
-- one scan for each face, with a LIMIT of its own
SELECT a.id, f.id FROM asked a, LATERAL (SELECT id FROM faces f ORDER BY f.embedding <=> a.embedding LIMIT 1) f WHERE a.id > 0 ORDER BY a.id;
SELECT a.id, (SELECT f.id FROM faces f ORDER BY f.embedding <=> a.embedding LIMIT 1) AS found FROM asked a WHERE a.id > 3 ORDER BY a.id;

DROP TABLE faces, asked;
DROP FUNCTION judge_all;
DROP FUNCTION judge;
DROP FUNCTION face;
