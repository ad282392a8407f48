#!/bin/bash
# Eight writers and eight readers for a while (FACEREC_STRESS_SECONDS, 15), with
# VACUUM and REINDEX CONCURRENTLY beside them: no error, every result is that
# of a sequential scan of the same snapshot, and afterwards everything is there.
set -eu
. sql_tests/recovery/index_cluster.sh
seconds=${FACEREC_STRESS_SECONDS:-15}
limit $((600 + seconds))

create data
start data 5432 "-c max_wal_size=2GB -c autovacuum_naptime=1s -c autovacuum_vacuum_scale_factor=0.02 -c autovacuum_vacuum_threshold=200"
sql 5432 -c "$faces_sql" -c "SELECT add_faces(3000, 500)" -c "CREATE INDEX people ON face USING faceindex (embedding)" \
	-c "CREATE INDEX few ON face USING faceindex (embedding) WITH (lists = 2)" -c "CREATE TABLE crowd (LIKE face)" \
	-c "CREATE INDEX crowded ON crowd USING faceindex (embedding)" \
	-c "CREATE TABLE written (writer int, kept bigint)" >/dev/null

end=$((SECONDS + seconds))
# Each writer owns the rows that it adds, and records how many it kept.
writer() {
	while [ $SECONDS -lt $end ]; do
		sql 5432 -c "WITH added AS (INSERT INTO face (person, embedding) SELECT 10000 + $1, face((500 * random())::int, (1e9 * random())::int) FROM generate_series(1, 20) RETURNING 1) INSERT INTO written SELECT $1, count(*) FROM added" \
			-c "UPDATE face SET embedding = face((500 * random())::int, (1e9 * random())::int) WHERE id IN (SELECT id FROM face WHERE person = 10000 + $1 ORDER BY random() LIMIT 5)" \
			-c "WITH gone AS (DELETE FROM face WHERE id IN (SELECT id FROM face WHERE person = 10000 + $1 ORDER BY random() LIMIT 12) RETURNING 1) INSERT INTO written SELECT $1, -count(*) FROM gone" \
			-c "BEGIN" -c "INSERT INTO face (person, embedding) SELECT 10000 + $1, face(1, i) FROM generate_series(1, 5) i" -c "ROLLBACK" \
			>/dev/null 2>>"$dir/errors" || true
	done
}
reader() {
	while [ $SECONDS -lt $end ]; do
		first=$((RANDOM % 480))
		compare 5432 $first $((first + 5)) 10 >>"$dir/found.$1"
		echo done >>"$dir/times.$1"
	done
}
upkeep() {
	while [ $SECONDS -lt $end ]; do
		sql 5432 -c "VACUUM (INDEX_CLEANUP on) face" -c "SELECT pg_sleep(0.3)" -c "VACUUM face" -c "SELECT pg_sleep(0.3)" -c "REINDEX INDEX CONCURRENTLY people" >/dev/null 2>>"$dir/errors" || true
	done
}
# VACUUM splits the one list of an index that was made of no rows.
growth() {
	while [ $SECONDS -lt $end ]; do
		sql 5432 -c "TRUNCATE crowd" -c "INSERT INTO crowd SELECT * FROM face LIMIT 1200" -c "VACUUM crowd" -c "INSERT INTO crowd SELECT * FROM face LIMIT 3000" -c "VACUUM crowd" >/dev/null 2>>"$dir/errors" || true
	done
}
growth &
for i in 1 2 3 4 5 6 7 8; do
	writer $i &
	reader $i &
done
upkeep &
wait
echo "# $(cat "$dir"/times.* | wc -l) comparisons, $(sql 5432 -c 'SELECT count(*) FROM written') batches"
is "$(grep -E 'ERROR|FATAL|PANIC|server closed' "$dir/errors" | sort | uniq -c | head -n 3)" '' 'no writer met an error'
is "$(cat "$dir"/found.* | head -n 3)" '' 'no reader met an error or missed a row'
is "$(sql 5432 -c "SELECT count(*) FROM face WHERE person > 10000")" "$(sql 5432 -c "SELECT sum(kept) FROM written")" 'every row that was kept is there'
is "$(check 5432)$(compare 5432 1 100 10)" '' 'and found by the index, which is sound'
sql 5432 -c "VACUUM (INDEX_CLEANUP on) face"
is "$(check 5432)$(compare 5432 101 200 10)" '' 'also after VACUUM'
echo "1..$n"
