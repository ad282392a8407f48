#!/bin/bash
# What a large model costs the second and every further backend: time to open
# it (the network is planned, nothing is run), time of the first embedding and
# of later ones, and private memory (smaps) while all of them are alive.  Needs a running server on this machine (psql's usual
# variables, superuser) with the extension in the database.
#
#	src/test/bench/open_model.sh model.onnx crop.png [backends [preset]]
set -eu
model=$(realpath "$1") crop=$(realpath "$2") backends=${3:-10} preset=${4:-arcface}
psql() { command psql -XAtq -v ON_ERROR_STOP=1 "$@"; }

psql <<SQL >/dev/null
SET client_min_messages = error;
SELECT face_model_drop('bench_open') FROM facerec_models WHERE name = 'bench_open';
SELECT face_model_load('bench_open', pg_read_binary_file('$model'), '$preset',
	'{"min_face_size": 21}'); -- another model than one that may be there
DROP TABLE IF EXISTS bench_open_crop, bench_open_result;
CREATE TABLE bench_open_crop AS SELECT pg_read_binary_file('$crop') AS data;
CREATE UNLOGGED TABLE bench_open_result (backend int, open_ms float8, first_ms float8, later_ms float8, md5 text, private_kb int);
SQL

# One backend: call, call again, wait until all have called, look at memory.
# A call on other bytes is not answered from the call site's cache.
backend() {
	psql -v backend="$1" -v backends="$2" <<'SQL'
LOAD 'facerec';
SELECT set_config('bench.backend', :'backend', false), set_config('bench.backends', :'backends', false) \gset ignored_
DO $$
DECLARE
	me int := current_setting('bench.backend');
	times float8[] := '{}';
	start timestamptz := clock_timestamp();
	opened float8;
	crop bytea := (SELECT data FROM bench_open_crop);
	embedding text;
BEGIN
	PERFORM face_model_plan('bench_open', runs => 0);
	opened := 1000 * extract(epoch FROM clock_timestamp() - start)::float8;
	FOR i IN 1 .. 8 LOOP
		start := clock_timestamp();
		embedding := face_embed_aligned(crop || int4send(i), 'bench_open');
		times := times || 1000 * extract(epoch FROM clock_timestamp() - start)::float8;
	END LOOP;
	INSERT INTO bench_open_result VALUES (me, opened, times[1],
		(SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(times[2:]) t), md5(embedding));
END $$;
DO $$
BEGIN
	WHILE (SELECT count(*) FROM bench_open_result) < current_setting('bench.backends')::int LOOP
		PERFORM pg_sleep(0.05);
	END LOOP;
	UPDATE bench_open_result SET private_kb = (
		SELECT sum(substring(line FROM '(\d+) kB')::int)
		FROM regexp_split_to_table(pg_read_file('/proc/self/smaps_rollup'), '\n') line WHERE line ~ '^Private_')
	WHERE backend = current_setting('bench.backend')::int;
END $$;
-- nobody leaves before all have looked
DO $$
BEGIN
	WHILE (SELECT count(private_kb) FROM bench_open_result) < current_setting('bench.backends')::int LOOP
		PERFORM pg_sleep(0.05);
	END LOOP;
END $$;
SQL
}
for i in $(seq "$backends"); do
	backend "$i" "$backends" &
	until [ "$(psql -c 'SELECT count(*) FROM bench_open_result')" -ge "$i" ]; do sleep 0.1; done
done
wait
psql -F ' | ' <<'SQL'
\pset tuples_only off
\pset footer off
SELECT backend, round(open_ms::numeric, 1) AS open_ms, round(first_ms::numeric, 1) AS first_call_ms,
	round(later_ms::numeric, 1) AS later_call_ms, private_kb, md5 = min(md5) OVER () AS same_embedding
FROM bench_open_result ORDER BY backend;
DROP TABLE bench_open_crop, bench_open_result;
SELECT face_model_drop('bench_open');
SQL
