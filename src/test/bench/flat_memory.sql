-- 10,000 calls of face_embed_all on changing photos in one session; prints
-- the backend's memory as it goes. Run in a database that demo.sh's
-- demo_load.sql has filled (table photo, facerec.detector and .embedder set):
--   psql -X -v calls=10000 -f src/test/bench/flat_memory.sql
\set QUIET on
SET client_min_messages = notice;
SELECT set_config('bench.calls', :'calls', false) \gset ignored_
DO $$
DECLARE
  calls int := current_setting('bench.calls')::int;
  files text[] := (SELECT array_agg(file ORDER BY file) FROM photo);
  faces bigint := 0;
  found int;
  resident text;
  contexts bigint;
BEGIN
  FOR i IN 0 .. calls LOOP
    IF i % (calls / 10) = 0 THEN
      resident := substring(pg_read_file('/proc/self/status') FROM 'VmRSS:\s+(\d+ kB)');
      SELECT sum(total_bytes) INTO contexts FROM pg_backend_memory_contexts;
      RAISE NOTICE '% calls, % faces: resident %, memory contexts % kB', i, faces, resident, contexts / 1024;
    END IF;
    SELECT count(embedding) INTO found
    FROM photo p, LATERAL face_embed_all(p.data) WHERE p.file = files[1 + i % cardinality(files)];
    faces := faces + found;
  END LOOP;
END $$;
