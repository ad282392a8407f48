#!/bin/bash
# Fifty times kill -9, now of one backend, now of the whole server, in the midst
# of inserts, deletes, VACUUM, CREATE INDEX and REINDEX.  After each recovery the
# index has every invariant, matches its table row by row, and answers as a
# sequential scan does.  The pages that recovery made are compared with those
# that were logged in every third round (wal_consistency_checking); in every
# other one no page images hide what the records say.
set -eu
. sql_tests/recovery/index_cluster.sh
rounds=${FACEREC_CRASHES:-50}
RANDOM=${FACEREC_SEED:-$$}
echo "# FACEREC_SEED=$RANDOM"
limit $((600 + 20 * rounds))

create data
options="-c max_wal_size=64MB -c checkpoint_timeout=30s -c autovacuum_naptime=1s -c restart_after_crash=on"
start data 5432 "$options"
sql 5432 -c "$faces_sql" -c "SELECT add_faces(2000, 400)" -c "CREATE INDEX people ON face USING faceindex (embedding)" \
	-c "CREATE INDEX few ON face USING faceindex (embedding) WITH (lists = 2)" -c "CREATE TABLE crowd (LIKE face)" \
	-c "CREATE INDEX crowded ON crowd USING faceindex (embedding)" -c "CREATE TABLE changing (embedding faceembedding)" \
	-c "CREATE INDEX changed ON changing USING faceindex (embedding)" >/dev/null

# Work until stopped: errors are those of a server that dies.
loop() {
	while [ ! -e "$dir/stop" ]; do
		psql -p 5432 "$@" >/dev/null 2>>"$dir/errors" || sleep 0.02
	done
}
work() {
	rm -f "$dir/stop"
	loop -c "SELECT add_faces((1 + 200 * random())::int, 400)" &
	loop -c "BEGIN" -c "SELECT add_faces(20, 400)" -c "UPDATE face SET embedding = face(person, (1e9 * random())::int) WHERE id % 97 = (97 * random())::int" -c "ROLLBACK" &
	loop -c "DELETE FROM face WHERE id % 50 = (49 * random())::int OR id < (SELECT max(id) - 6000 FROM face)" -c "VACUUM (INDEX_CLEANUP on) face" &
	loop -c "CREATE INDEX again ON face USING faceindex (embedding)" -c "DROP INDEX again" -c "REINDEX INDEX CONCURRENTLY people" -c "REINDEX INDEX people" &
	# VACUUM splits the one list of an index that was made of no rows
	loop -c "TRUNCATE crowd" -c "INSERT INTO crowd SELECT * FROM face LIMIT 1000 + 2000 * random()" -c "VACUUM crowd" -c "INSERT INTO crowd SELECT * FROM face" -c "VACUUM crowd" &
	# VACUUM forgets the dimensions of an index without rows
	for numbers in 1,2,3 1,2,3,4,5; do
		loop -c "INSERT INTO changing (embedding) SELECT '[$numbers]' FROM generate_series(1, 50)" -c "DELETE FROM changing" -c "VACUUM (INDEX_CLEANUP on) changing" &
	done
	loop -c "SET enable_sort = off" -c "SELECT count(*) FROM (SELECT FROM face ORDER BY embedding <=> face((400 * random())::int, 0) LIMIT 200) f" &
}
kill_backend() {
	local victim
	victim=$(psql -p 5432 -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1" 2>/dev/null) || return 0
	[ -z "$victim" ] || kill -9 "$victim" 2>/dev/null || true
}
kill_server() {
	local postmaster victims
	postmaster=$(head -n 1 "$dir/data/postmaster.pid")
	kill -STOP "$postmaster" # it starts no more of them
	victims=$(pgrep -P "$postmaster") || true
	kill -9 "$postmaster" $victims 2>/dev/null || true
	for pid in $postmaster $victims; do
		while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
	done
}
wait_server() {
	for _ in $(seq 600); do psql -p 5432 -c 'SELECT 1' >/dev/null 2>&1 && return; sleep 0.05; done
	echo 'Bail out! the server does not come back'; tail "$dir/data.log" | sed 's/^/# /'; exit 1
}

for round in $(seq "$rounds"); do
	work
	sleep "0.$((RANDOM % 9))$((RANDOM % 10))"
	what=$([ $((RANDOM % 3)) = 0 ] && echo backend || echo server)
	"kill_$what"
	touch "$dir/stop"
	if [ "$what" = server ]; then
		extra=""
		[ $((round % 2)) = 0 ] || extra="$extra -c full_page_writes=off"
		[ $((round % 3)) != 0 ] || extra="-c wal_consistency_checking=generic"
		start data 5432 "$options $extra"
	fi
	wait # for the loops
	wait_server
	for index in $(sql 5432 -c "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'face'::regclass AND (NOT indisvalid OR indexrelid::regclass::text NOT IN ('people', 'few'))"); do
		sql 5432 -c "DROP INDEX $index"
	done
	person=$((RANDOM % 380))
	is "$(check 5432)$(compare 5432 $person $((person + 4)) 20)" '' "round $round: the index is sound after kill -9 of a $what"
done
is "$(sql 5432 -c "SELECT lists FROM facerec_index_info('few')" -c "TRUNCATE crowd" -c "INSERT INTO crowd SELECT * FROM face LIMIT 1500" -c "VACUUM crowd" -c "SELECT lists > 20 FROM facerec_index_info('crowded')" | xargs)" '2 t' 'VACUUM makes more lists where it may'
is "$(grep -hE 'PANIC|inconsistent page|TRAP|signal (6|11)|invalid page|could not read block' "$dir/data.log" "$dir/errors" | head -n 5)" '' 'no error but those of a dying server'
is "$(grep -h '^ERROR' "$dir/errors" | grep -vE 'deadlock detected|relation "again"|already exists|does not exist|terminating|canceling|current transaction is aborted|dimensions does not belong' | sort | uniq -c | head -n 5)" '' 'and none in what ran meanwhile'
echo "1..$n"
