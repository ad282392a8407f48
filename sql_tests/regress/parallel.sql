-- Bulk embedding by parallel workers gives the same rows.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data && for f in models/*.onnx patches/*.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT name, decode(base64, 'base64') AS data FROM input;
SELECT face_model_load('patches', data, 'yunet') IS NOT NULL AS detector FROM file WHERE name = 'models/patch-detector.onnx';
SELECT face_model_load('people', data, 'mobilefacenet') IS NOT NULL AS embedder FROM file WHERE name = 'models/patch-embedder.onnx';
CREATE TABLE photo (id int, data bytea);
INSERT INTO photo SELECT row_number() OVER (ORDER BY i, name COLLATE "C"), data FROM file, generate_series(1, 12) i WHERE name ~ '^patches';
ALTER TABLE photo SET (parallel_workers = 2);
ANALYZE photo;
SET facerec.detector = 'patches';
SET facerec.embedder = 'people';

SET max_parallel_workers_per_gather = 0;
CREATE TEMP TABLE serial AS SELECT id, (face_embed_all(data)).* FROM photo;
CREATE TEMP TABLE serial_one AS SELECT id, face_embed(data, 'people') AS embedding FROM photo;
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) CREATE TABLE bulk AS SELECT id, (face_embed_all(data)).* FROM photo;
EXPLAIN (COSTS OFF) SELECT id, face_embed(data, 'people') FROM photo;
CREATE TABLE bulk AS SELECT id, (face_embed_all(data)).* FROM photo;
SELECT count(*) AS faces, count(DISTINCT id) AS photos FROM bulk;
SELECT count(*) AS different FROM bulk b FULL JOIN serial s USING (id, face_no)
WHERE b.embedding IS DISTINCT FROM s.embedding OR b.score IS DISTINCT FROM s.score OR b.quality IS DISTINCT FROM s.quality
	OR b.box::text IS DISTINCT FROM s.box::text OR b.landmarks::text IS DISTINCT FROM s.landmarks::text;
CREATE TABLE bulk_one AS SELECT id, face_embed(data, 'people') AS embedding FROM photo;
SELECT count(*) AS different FROM bulk_one b FULL JOIN serial_one s USING (id) WHERE b.embedding IS DISTINCT FROM s.embedding;

-- the workers have the leader's settings and its uncommitted models
BEGIN;
SELECT face_model_load('new', data, 'mobilefacenet') IS NOT NULL AS embedder FROM file WHERE name = 'models/patch-embedder-b.onnx';
SET LOCAL facerec.embedder = 'new';
SET LOCAL facerec.max_faces = 2;
SET LOCAL parallel_leader_participation = off;
SELECT face_dims(embedding) AS dims, count(*), max(face_no) FROM (SELECT (face_embed_all(data)).* FROM photo) s GROUP BY 1;
ROLLBACK;
SET facerec.embedder = 'new';
SET parallel_leader_participation = off;
\set VERBOSITY terse
SELECT count(face_embed(data)) FROM photo;
\set VERBOSITY default
SELECT count(face_embed(data, 'people')) FROM photo;

DROP TABLE photo, bulk, bulk_one;
SELECT face_model_drop('people'), face_model_drop('patches');
