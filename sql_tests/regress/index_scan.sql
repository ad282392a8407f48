-- Scans of a faceindex: whatever is asked, the rows are those of a sequential
-- scan and a sort, in the same order.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
SET max_parallel_workers_per_gather = 0;
-- The bounds are statistical: of a million rows one may come late, here none.
SET faceindex.seed = 1;
SET jit = off; -- costs of disabled plans would switch it on

-- Photo p of person i: a direction of the person plus one of the photo, from
-- a hash, so that every server has the same.
CREATE FUNCTION face(person int, photo int DEFAULT 0, dims int DEFAULT 48, model text DEFAULT '00c0ffee')
RETURNS faceembedding LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT ('MODEL=' || model || ';[' || string_agg(
		((hashint8extended(person * 4096 + d, 1) & 65535) - 32767.5 +
		CASE photo WHEN 0 THEN 0 ELSE 0.6 * ((hashint8extended((person * 1000::bigint + photo) * 4096 + d, 2) & 65535) - 32767.5) END)::real::text, ',') || ']')::faceembedding
	FROM generate_series(1, dims) d $$;

-- Run a query on (id, distance) with the index and without.
CREATE FUNCTION compare(query text, OUT rows bigint, OUT uses_index boolean, OUT is_same boolean)
LANGUAGE plpgsql AS $$
DECLARE
	line text;
	with_index text[];
	without text[];
BEGIN
	PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
	uses_index := false;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		uses_index := uses_index OR line ~ 'Index Scan using \w*(face|embedding)';
	END LOOP;
	EXECUTE 'SELECT array_agg(q::text) FROM (' || query || ') q' INTO with_index;
	PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
	EXECUTE 'SELECT array_agg(q::text) FROM (' || query || ') q' INTO without;
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
	rows := coalesce(cardinality(with_index), 0);
	is_same := with_index IS NOT DISTINCT FROM without;
	IF NOT is_same THEN
		RAISE DEBUG 'with index: %, without: %', with_index[:20], without[:20];
	END IF;
END $$;

CREATE TABLE faces (id int PRIMARY KEY, person int, camera int, embedding faceembedding(48));
CREATE INDEX faces_embedding ON faces USING faceindex (embedding);

-- The usual questions; q is the text of the face that is asked for.
CREATE FUNCTION compare_all(q text, source text DEFAULT 'faces')
RETURNS TABLE (question text, rows bigint, uses_index boolean, is_same boolean)
LANGUAGE sql AS $$
	SELECT question, c.*
	FROM (VALUES
		(1, 'nearest', 'ORDER BY embedding <=> %2$s LIMIT 10'),
		(2, 'nearest, ties by id', 'ORDER BY embedding <=> %2$s, id LIMIT 10'),
		(3, 'all', 'ORDER BY embedding <=> %2$s, id'),
		(4, 'euclidean', 'ORDER BY embedding <-> %2$s, id LIMIT 300'),
		(5, 'commuted', 'ORDER BY %2$s <=> embedding, id LIMIT 3'),
		(6, 'offset', 'ORDER BY embedding <=> %2$s, id LIMIT 5 OFFSET 1500'),
		(7, 'below', 'WHERE embedding <=> %2$s < 0.7 ORDER BY embedding <=> %2$s, id'),
		(8, 'below, limit', 'WHERE embedding <=> %2$s <= 0.9 ORDER BY embedding <=> %2$s, id LIMIT 7'),
		(9, 'within', 'WHERE embedding <@ face_within(%2$s, 0.8) ORDER BY embedding <=> %2$s, id'),
		(10, 'between', 'WHERE embedding <=> %2$s BETWEEN 0.5 AND 0.8 ORDER BY embedding <=> %2$s, id'),
		(11, 'match', 'WHERE embedding %% %2$s ORDER BY embedding <=> %2$s, id'),
		(12, 'few rows pass', 'WHERE camera = 77 ORDER BY embedding <=> %2$s, id LIMIT 10'),
		(13, 'none passes', 'WHERE camera < 0 ORDER BY embedding <=> %2$s, id LIMIT 10')
	) AS questions (number, question, clauses),
	compare(format('SELECT id, embedding <=> %2$s AS d FROM %1$s ' || clauses, source, q)) c
	ORDER BY number $$;

INSERT INTO facerec_thresholds (model, fmr, threshold, n_impostor) VALUES ('test@00c0ffee', 1e-4, 0.6, 1000000);

-- 0, 1, 31 and 1,000 rows, and the index grown by inserts
SELECT * FROM compare_all('face(7, 99)');
INSERT INTO faces SELECT 1, 1, 1, face(1, 1);
SELECT * FROM compare_all('face(7, 99)');
INSERT INTO faces SELECT i, i % 5, i, face(i % 5, i) FROM generate_series(2, 31) i;
SELECT * FROM compare_all('face(3, 99)');
INSERT INTO faces SELECT i, i / 4, i % 100, face(i / 4, i) FROM generate_series(32, 1000) i;
SELECT * FROM compare_all('face(7, 99)');
-- the same, built
REINDEX INDEX faces_embedding;
SELECT * FROM compare_all('face(7, 99)');

-- 20,000 rows
INSERT INTO faces SELECT i, i / 4, i % 100, face(i / 4, i) FROM generate_series(1001, 20000) i;
SELECT * FROM compare_all('face(2500, 99)');
REINDEX INDEX faces_embedding;
SELECT * FROM compare_all('face(2500, 99)');
-- a stranger
SELECT * FROM compare_all('face(-1)');
-- recall below 1 under-returns nothing
SET faceindex.probes = 1;
SELECT question, rows FROM compare_all('face(-1)') WHERE NOT is_same AND question IN ('all', 'few rows pass', 'below', 'within', 'match', 'between');
SELECT count(*) FROM (SELECT id FROM faces ORDER BY embedding <=> face(2500, 99)) q;
SELECT id / 4 AS person FROM faces ORDER BY embedding <=> face(2500, 99) LIMIT 1;
RESET faceindex.probes;
-- rounds within little memory
SET work_mem = '64kB';
SELECT * FROM compare_all('face(2500, 99)') WHERE question IN ('all', 'offset', 'below, limit');
RESET work_mem;
-- every instruction set
SET facerec.isa = generic;
SELECT * FROM compare_all('face(2500, 99)') WHERE NOT is_same;
RESET facerec.isa;

-- deleted, updated, vacuumed, filled again
DELETE FROM faces WHERE id % 3 = 0 OR person = 2500;
SELECT * FROM compare_all('face(2500, 99)') WHERE NOT is_same;
VACUUM faces;
SELECT * FROM compare_all('face(2500, 99)') WHERE NOT is_same;
UPDATE faces SET embedding = face(person, id + 7) WHERE id % 5 = 0;
UPDATE faces SET camera = camera + 1 WHERE id % 7 = 0;
SELECT * FROM compare_all('face(2500, 99)') WHERE NOT is_same;
VACUUM faces;
INSERT INTO faces SELECT i, i / 4, i % 100, face(i / 4, i) FROM generate_series(1, 20000) i ON CONFLICT DO NOTHING;
SELECT * FROM compare_all('face(2500, 99)');
-- also what this transaction did itself
BEGIN;
INSERT INTO faces VALUES (-1, -1, 77, face(-1, 1)), (-2, -1, 77, face(-1, 2));
DELETE FROM faces WHERE id = 77;
SELECT * FROM compare_all('face(-1)') WHERE NOT is_same;
SAVEPOINT a;
DELETE FROM faces WHERE id < 0;
SELECT * FROM compare_all('face(-1)') WHERE NOT is_same;
ROLLBACK TO a;
SELECT * FROM compare_all('face(-1)') WHERE NOT is_same;
ROLLBACK;
SELECT * FROM compare_all('face(-1)') WHERE NOT is_same;

-- cursors: the snapshot is that of the opening
BEGIN;
SET LOCAL enable_seqscan = off;
DECLARE c CURSOR FOR SELECT id, round((embedding <=> face(400, 99))::numeric, 4) AS d FROM faces ORDER BY embedding <=> face(400, 99);
FETCH 3 FROM c;
DELETE FROM faces WHERE person = 400;
INSERT INTO faces SELECT -i, 400, 1, face(400, 99) FROM generate_series(1, 50) i;
FETCH 3 FROM c;
MOVE 2000 FROM c;
FETCH 2 FROM c;
MOVE ALL FROM c;
FETCH 1 FROM c;
FETCH BACKWARD 1 FROM c;
ROLLBACK;
BEGIN;
SET LOCAL enable_seqscan = off;
DECLARE c SCROLL CURSOR FOR SELECT id FROM faces ORDER BY embedding <=> face(400, 99) LIMIT 5;
FETCH ALL FROM c;
FETCH BACKWARD 2 FROM c;
FETCH ABSOLUTE 1 FROM c;
ROLLBACK;

-- joins: one scan for each face
SELECT * FROM compare('SELECT q.id, f.id AS found, f.d FROM faces q, LATERAL (SELECT id, embedding <=> q.embedding AS d FROM faces f ORDER BY embedding <=> q.embedding, id LIMIT 4) f WHERE q.id BETWEEN 40 AND 60 ORDER BY q.id, d, found');
SELECT * FROM compare('SELECT q.id, f.id AS found FROM faces q JOIN faces f ON f.embedding <=> q.embedding < 0.7 WHERE q.id BETWEEN 40 AND 60 ORDER BY q.id, found');
SELECT * FROM compare('SELECT q.id, f.id AS found FROM faces q JOIN faces f ON 0.7 >= (q.embedding <=> f.embedding) AND f.camera = q.camera WHERE q.id BETWEEN 40 AND 60 ORDER BY q.id, found');
SELECT * FROM compare('SELECT q.id, f.id AS found FROM faces q LEFT JOIN faces f ON f.embedding % q.embedding AND f.id > q.id WHERE q.id BETWEEN 40 AND 60 ORDER BY q.id, found');
SELECT * FROM compare('SELECT q.id, count(f.id) AS found FROM faces q JOIN LATERAL (SELECT id FROM faces f WHERE f.embedding <=> q.embedding < q.camera / 100.0) f ON true WHERE q.id BETWEEN 40 AND 80 GROUP BY q.id ORDER BY q.id');
-- a face or a bound that is NULL for some
SELECT * FROM compare('SELECT q.n, f.id FROM (VALUES (1, face(3)), (2, NULL), (3, face(5))) q (n, e), LATERAL (SELECT id FROM faces WHERE embedding <=> q.e < 0.9 ORDER BY embedding <=> q.e, id LIMIT 2) f ORDER BY q.n, f.id');
SELECT * FROM compare('SELECT q.n, count(f) FROM (VALUES (1, face(3)), (2, NULL), (3, face(5))) q (n, e), LATERAL (SELECT id FROM faces ORDER BY embedding <=> q.e) f GROUP BY q.n ORDER BY q.n');
SELECT * FROM compare('SELECT q.n, count(f) FROM (VALUES (1, 0.7), (2, NULL), (3, -1), (4, 5), (5, ''NaN'')) q (n, c), LATERAL (SELECT id FROM faces WHERE embedding <=> face(3) <= q.c) f GROUP BY q.n ORDER BY q.n');

-- conditions on several faces
SELECT * FROM compare('SELECT id FROM faces WHERE embedding <=> face(40, 1) < 0.85 AND embedding <=> face(41, 1) < 0.85 ORDER BY id');
SELECT * FROM compare('SELECT id, embedding <=> face(40, 1) FROM faces WHERE embedding <=> face(41, 1) < 0.9 ORDER BY embedding <=> face(40, 1), id');
SELECT * FROM compare('SELECT id FROM faces WHERE embedding % face(40, 1) AND embedding <=> face(40, 1) < 0.3 ORDER BY id');
SELECT * FROM compare('SELECT id FROM faces WHERE embedding <=> face(40, 1) < 0.3 OR embedding <=> face(41, 1) < 0.3 ORDER BY id');

-- generic plans
PREPARE nearest(faceembedding, float8, int) AS
	SELECT id FROM faces WHERE embedding <=> $1 < $2 ORDER BY embedding <=> $1, id LIMIT $3;
SET plan_cache_mode = force_generic_plan;
EXECUTE nearest(face(40, 1), 2, 3);
EXECUTE nearest(face(40, 1), 0.3, 3);
EXECUTE nearest(face(41, 1), NULL, 3);
EXECUTE nearest(NULL, 1, 3);
RESET plan_cache_mode;
DEALLOCATE nearest;

-- what cannot be compared: the operator's own errors
SET enable_seqscan = off;
SELECT id FROM faces ORDER BY embedding <=> face(1, 1, 32) LIMIT 1;
SELECT id FROM faces ORDER BY embedding <=> face(1, 1, 48, '0badf00d') LIMIT 1;
SELECT id FROM faces ORDER BY embedding <-> face(1, 1, 48, '0badf00d') LIMIT 1;
SELECT id FROM faces WHERE embedding % face(1, 1, 48, '0badf00d');
SELECT id FROM faces WHERE embedding <@ face_within(face(1, 1, 32), 0.5);
SELECT id FROM faces WHERE embedding <=> face(1, 1, 32) < 0.5 ORDER BY embedding <=> face(1, 1) LIMIT 1;
SET facerec.fmr = 1e-9;
SELECT id FROM faces WHERE embedding % face(1, 1);
RESET facerec.fmr;
-- a face of an unknown model goes with every model
SELECT * FROM compare_all('face(2500, 99, 48, ''00000000'')') WHERE NOT is_same;
SET enable_seqscan = off;
-- no row, no error
CREATE TABLE no_faces (embedding faceembedding);
CREATE INDEX ON no_faces USING faceindex (embedding);
SELECT * FROM no_faces ORDER BY embedding <=> face(1, 1, 32);
INSERT INTO no_faces VALUES (face(1, 1));
DELETE FROM no_faces;
SELECT * FROM no_faces ORDER BY embedding <=> face(1, 1, 32);
SELECT * FROM no_faces WHERE embedding % face(1, 1, 48, '0badf00d');
DROP TABLE no_faces;
RESET enable_seqscan;

-- rows without a face are not in the index
BEGIN;
INSERT INTO faces VALUES (-1, 1, 1, NULL);
SELECT * FROM compare('SELECT id FROM faces WHERE embedding IS NOT NULL ORDER BY embedding <=> face(40), id');
SELECT * FROM compare('SELECT id FROM faces WHERE embedding <=> face(40) < 2 ORDER BY embedding <=> face(40), id');
ROLLBACK;
DROP TABLE faces;

-- equal faces
CREATE TABLE twins AS SELECT i AS id, i % 3 AS camera, face(i % 2) AS embedding FROM generate_series(1, 5000) i;
CREATE INDEX twins_face ON twins USING faceindex (embedding);
SELECT * FROM compare_all('face(0)', 'twins') WHERE question <> 'nearest';
SELECT * FROM compare_all('face(5)', 'twins') WHERE question <> 'nearest' AND NOT is_same;
DROP TABLE twins;

-- filter columns
CREATE TABLE sightings AS
	SELECT i AS id, (i % 100)::bigint AS camera, i % 2 = 0 AS is_indoors, NULLIF(i % 50, 7)::smallint AS shop,
		date '2026-01-01' + i % 10 AS day, ('{-infinity,2026-05-05 12:00Z,infinity,NULL}'::timestamptz[])[i % 4 + 1] + i % 9 * interval '1 hour' AS at,
		chr(i % 26 + 97)::"char" AS kind, ((i % 100)::bigint * 42949672)::oid AS tag, face(i / 4, i) AS embedding
	FROM generate_series(1, 3000) i;
CREATE INDEX sightings_face ON sightings USING faceindex (embedding, camera, is_indoors, shop, day, at, kind, tag);
ANALYZE sightings;
SELECT condition, c.*
FROM (VALUES ('camera = 77'), ('camera = 77::bigint'), ('camera = 77::smallint'), ('camera = -1'), ('camera = 4294967373'), ('shop = 65543'), ('shop = 9'), ('shop = 0'), ('shop IS NULL'),
	('is_indoors'), ('NOT is_indoors AND camera = 77'), ('is_indoors AND camera = 77'), ('day = ''2026-01-03'' AND shop = 2 AND camera = 2'),
	('camera = NULL'), ('is_indoors IS TRUE AND camera = 76'), ('is_indoors IS FALSE'), ('is_indoors IS NOT TRUE'),
	('camera = ANY (''{3,77}'')'), ('shop IN (1, 2, 65537)'), ('shop = ANY (''{NULL,3,3,1}'')'), ('shop = ANY (''{65537,-65535}''::bigint[])'),
	('camera = ANY (''{}'')'), ('camera = ANY (NULL)'), ('camera = ANY (''{NULL}'')'), ('camera <> ALL (''{3,77}'')'),
	('camera = ANY (ARRAY(SELECT generate_series(-90, 90, 3)))'), ('camera = ANY (ARRAY(SELECT generate_series(1, 90))) AND shop = ANY (''{7,8}'')'),
	('day = ANY (''{2026-01-03,2026-01-09}'') AND is_indoors'), ('is_indoors = ANY (''{t,f}'')'),
	('camera < 3'), ('camera <= 3::smallint'), ('camera > 98 OR camera < 1'), ('camera BETWEEN 40 AND 41'), ('41 < camera AND camera < 43'),
	('camera > 99'), ('camera < 0'), ('camera > 9223372036854775807'), ('camera < (-9223372036854775808)::bigint'), ('camera >= (-9223372036854775808)::bigint AND shop = 3'),
	('shop < 40000 AND shop > -40000'), ('shop > 40000'), ('shop < -40000'), ('shop >= 48 AND is_indoors'), ('shop > NULL'),
	('camera < ANY (''{2,NULL,3}'')'), ('camera >= ANY (''{98,97}'')'), ('camera > ANY (''{}'')'), ('camera > ALL (''{95,97}'')'),
	('day > ''2026-01-09'''), ('day <= ''2026-01-02'' AND camera > 50'), ('day < ''infinity'' AND camera = 7'), ('day > ''2026-01-09 13:00''::timestamp'),
	('at > ''2026-05-05 18:00Z'''), ('at < ''2026-05-05 14:00Z'''), ('at = ''infinity'''), ('at < ''infinity'' AND at > ''-infinity'''), ('at >= now() AND camera < 9'),
	('kind < ''c'''), ('kind > ''x'' AND camera > 90'), ('kind BETWEEN ''f'' AND ''g'''), ('tag > 3000000000'), ('tag < 100000000 AND tag >= 42949672'), ('tag > 4294967295'),
	('embedding % ANY (ARRAY[face(3, 1), face(500, 2), NULL])'), ('embedding % ANY (''{}'')'),
	('embedding <@ ANY (ARRAY[row(NULL, 0.5)::face_range, row(face(500, 3), NULL)::face_range, face_within(face(500, 2), 0.9), NULL])'),
	('embedding <@ ANY (ARRAY[face_within(face(3, 1), 0.5), face_within(face(500, 2), 0.9)]) AND camera IN (1, 77, 2)')) AS conditions (condition),
	compare('SELECT id FROM sightings WHERE ' || condition || ' ORDER BY embedding <=> face(500, 9), id LIMIT 40') c;
SELECT condition, c.*
FROM (VALUES ('camera = 77'), ('NOT is_indoors AND shop = 1'), ('camera IN (76, 77)'), ('camera = ANY (ARRAY(SELECT generate_series(1, 99, 2)))')) AS conditions (condition),
	compare('SELECT id FROM sightings WHERE embedding <=> face(500, 9) < 0.95 AND ' || condition || ' ORDER BY id') c;
SELECT * FROM compare('SELECT c, f.id FROM generate_series(1, 120, 7) c, LATERAL (SELECT id FROM sightings WHERE camera = c ORDER BY embedding <=> face(500, 9), id LIMIT 3) f ORDER BY c, f.id');
SELECT * FROM compare('SELECT c, f.id FROM generate_series(1, 120, 7) c, LATERAL (SELECT id FROM sightings WHERE camera IN (5, 50, 70) AND is_indoors ORDER BY embedding <=> face(c, 9), id LIMIT 3) f ORDER BY c, f.id');
SELECT * FROM compare('SELECT c, f.id FROM generate_series(1, 120, 7) c, LATERAL (SELECT id FROM sightings WHERE camera IN (c, c + 1) ORDER BY embedding <=> face(c, 9), id LIMIT 3) f ORDER BY c, f.id');
UPDATE sightings SET camera = 5 WHERE id % 11 = 0;
DELETE FROM sightings WHERE id % 13 = 0;
VACUUM sightings;
SELECT * FROM compare('SELECT id FROM sightings WHERE camera = 5 ORDER BY embedding <=> face(500, 9), id');
-- a scan must have an order or a bound
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM sightings WHERE camera = 5;
SET plan_cache_mode = force_generic_plan;
PREPARE any_of(faceembedding[]) AS SELECT id FROM sightings WHERE embedding % ANY ($1) AND camera = 5;
EXPLAIN (COSTS OFF) EXECUTE any_of(NULL);
DEALLOCATE any_of;
RESET plan_cache_mode;
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP TABLE sightings;

-- an expression, a part of the table
CREATE TABLE packed (id int, name text, embedding text);
INSERT INTO packed SELECT i, 'face ' || i % 10, face(i / 4, i)::text FROM generate_series(1, 2000) i;
CREATE INDEX packed_face ON packed USING faceindex ((embedding::faceembedding)) WHERE name <> 'face 3';
SELECT * FROM compare('SELECT id FROM packed WHERE name <> ''face 3'' ORDER BY embedding::faceembedding <=> face(300, 9), id LIMIT 50');
SELECT * FROM compare('SELECT id FROM packed WHERE name <> ''face 3'' AND embedding::faceembedding <=> face(300, 9) < 0.8 ORDER BY id');
SELECT * FROM compare('SELECT id FROM packed WHERE embedding::faceembedding <=> face(300, 9) < 0.8 ORDER BY id');
UPDATE packed SET name = 'face 3' WHERE id % 7 = 0;
UPDATE packed SET name = 'face 4' WHERE id % 11 = 0;
SELECT * FROM compare('SELECT id FROM packed WHERE name <> ''face 3'' ORDER BY embedding::faceembedding <=> face(300, 9), id');
DROP TABLE packed;

-- partitions: Merge Append
CREATE TABLE parts (id int, camera int, embedding faceembedding) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (1000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (1000) TO (1100);
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (1100) TO (5000);
CREATE INDEX parts_face ON parts USING faceindex (embedding);
INSERT INTO parts SELECT i, i % 100, face(i / 4, i) FROM generate_series(1, 3000) i;
ANALYZE parts;
SELECT * FROM compare('SELECT id FROM parts ORDER BY embedding <=> face(260, 9) LIMIT 20');
SELECT * FROM compare('SELECT id FROM parts WHERE id < 1050 AND embedding <=> face(260, 9) < 0.8 ORDER BY embedding <=> face(260, 9)');
SELECT * FROM compare('SELECT id FROM parts WHERE embedding % face(260, 9) ORDER BY id');
DROP TABLE parts;

-- temporary and unlogged tables
CREATE TEMP TABLE passing (id int, embedding faceembedding);
CREATE INDEX passing_face ON passing USING faceindex (embedding);
INSERT INTO passing SELECT i, face(i / 4, i) FROM generate_series(1, 300) i;
SELECT * FROM compare('SELECT id FROM passing ORDER BY embedding <=> face(26, 9), id');
CREATE UNLOGGED TABLE light (id int, embedding faceembedding);
CREATE INDEX light_face ON light USING faceindex (embedding);
INSERT INTO light SELECT i, face(i / 4, i) FROM generate_series(1, 300) i;
SELECT * FROM compare('SELECT id FROM light ORDER BY embedding <=> face(26, 9), id');
DROP TABLE passing, light;

-- embeddings that are stored out of line or compressed
CREATE TABLE wide (id int, embedding faceembedding, note text);
ALTER TABLE wide ALTER embedding SET STORAGE external;
INSERT INTO wide SELECT i, face(i / 4, i, 1200), repeat('x', 1900) FROM generate_series(1, 60) i;
CREATE INDEX wide_face ON wide USING faceindex (embedding);
SELECT * FROM compare('SELECT id FROM wide ORDER BY embedding <=> face(6, 9, 1200), id');
DROP TABLE wide;

DELETE FROM facerec_thresholds WHERE model = 'test@00c0ffee';
DROP FUNCTION compare_all;
DROP FUNCTION compare;
DROP FUNCTION face;
