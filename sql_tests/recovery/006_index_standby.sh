#!/bin/bash
# A streaming standby answers as the primary does while that one inserts,
# deletes, vacuums and reindexes: every query of it, by the index, gives what a
# sequential scan of the same snapshot gives.  Every replayed page is compared
# with the primary's (wal_consistency_checking).
set -eu
. sql_tests/recovery/index_cluster.sh
seconds=${FACEREC_STANDBY_SECONDS:-15}

create data
start data 5432 "-c wal_level=replica -c max_wal_size=1GB -c autovacuum_naptime=1s -c wal_consistency_checking=generic"
sql 5432 -c "$faces_sql" -c "SELECT add_faces(3000, 400)" -c "CREATE INDEX people ON face USING faceindex (embedding)" >/dev/null
"$bin/pg_basebackup" -h "$dir" -p 5432 -U postgres -D "$dir/standby" -R -X stream >/dev/null
data_dirs=("$dir/standby" "$dir/data")
# Queries are not cancelled: replay waits for them instead.
echo "max_standby_streaming_delay = -1" >>"$dir/standby/postgresql.conf"
start standby 5433 "-c hot_standby=on -c log_recovery_conflict_waits=on"
wait_standby() {
	local lsn
	lsn=$(sql 5432 -c 'SELECT pg_current_wal_lsn()')
	for _ in $(seq 1200); do
		[ "$(sql 5433 -c "SELECT pg_last_wal_replay_lsn() >= '$lsn'")" = t ] && return
		sleep 0.05
	done
	echo 'Bail out! the standby does not follow'; tail "$dir/standby.log" | sed 's/^/# /'; exit 1
}
answers() { sql "$1" -c 'SET enable_seqscan = off; SET enable_sort = off' -c 'SELECT uses_index()' -c 'SELECT answers(1, 100, 10)' | md5sum; }

wait_standby
is "$(answers 5433)" "$(answers 5432)" 'the standby answers as the primary does'
is "$(check 5433)" '' 'its index is sound'

end=$((SECONDS + seconds))
loop() { while [ $SECONDS -lt $end ]; do sql 5432 "$@" >/dev/null 2>>"$dir/errors" || true; done; }
loop -c "SELECT add_faces(50, 400)" &
loop -c "SELECT add_faces(5, 400)" -c "UPDATE face SET embedding = face(person, (1e9 * random())::int) WHERE id % 97 = (96 * random())::int" &
loop -c "DELETE FROM face WHERE id % 20 = (19 * random())::int OR id < (SELECT max(id) - 8000 FROM face)" -c "VACUUM (INDEX_CLEANUP on) face" -c "SELECT pg_sleep(0.05)" &
loop -c "REINDEX INDEX CONCURRENTLY people" -c "SELECT pg_sleep(0.5)" &
for reader in 1 2; do
	while [ $SECONDS -lt $end ]; do
		person=$((RANDOM % 380))
		compare 5433 $person $((person + 5)) 10 >>"$dir/found.$reader"
		echo done >>"$dir/times.$reader"
	done &
done
wait
echo "# $(cat "$dir"/times.* | wc -l) comparisons on the standby"
is "$(cat "$dir"/found.* | head -n 3)" '' 'while the primary works, the standby finds what a scan finds'
is "$(grep ERROR "$dir/errors" | grep -v deadlock | head -n 3)" '' 'nothing fails on the primary'

# A cursor of the standby, opened when rows are dead that the primary then
# removes, and whose places it fills.  Nothing else may remove rows, or replay
# waits for the cursor; it also waits for a cursor that rests on a page which
# VACUUM cleans, hence the dead rows on pages of their own, far from the query,
# no VACUUM of the new rows, which the cursor does not see, and a limit after
# which the cursor is cancelled.
sql 5432 -c "ALTER SYSTEM SET autovacuum = off" -c "SELECT pg_reload_conf()" >/dev/null
sql 5433 -c "ALTER SYSTEM SET max_standby_streaming_delay = '20s'" -c "SELECT pg_reload_conf()" >/dev/null
sql 5432 -c "VACUUM FULL face" \
	-c "INSERT INTO face (person, embedding) SELECT 1000 + i, face(1000 + i) FROM generate_series(1, 2000) i" \
	-c "DELETE FROM face WHERE person BETWEEN 1001 AND 2980"
wait_standby
coproc STANDBY { psql -p 5433 2>&1; }
standby_pid=$STANDBY_PID
# A session that the server ends takes the array along, and what is said to it
# breaks the pipe.
exec {listen}<&"${STANDBY[0]}" {speak}>&"${STANDBY[1]}"
trap '' PIPE
say() { echo "$1" >&"$speak" || true; }
hear() { read -r -t 60 -u "$listen" answer || answer='no answer'; }
say 'SET enable_seqscan = off; SET enable_sort = off; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM face;'
hear
count=$answer
say 'DECLARE c CURSOR FOR SELECT 1 FROM face ORDER BY embedding <=> face(7, 0); FETCH 1 FROM c;'
hear
sql 5432 -c "VACUUM (INDEX_CLEANUP on) face" -c "SELECT add_faces(2000, 400)" >/dev/null
wait_standby
say 'MOVE FORWARD ALL FROM c;'
say '\echo :ROW_COUNT'
hear
if [[ $answer =~ ^[0-9]+$ ]]; then
	is "$((answer + 1))" "$count" 'a cursor that was open meanwhile neither loses nor gains a row'
else
	is "$(grep -c 'due to conflict with recovery' <<<"$answer")" 1 'replay ended the cursor'
fi
say 'COMMIT; \q'
wait "$standby_pid" || true

wait_standby
is "$(answers 5433)" "$(answers 5432)" 'at rest the standby answers as the primary does'
is "$(check 5433)$(check 5432)" '' 'both indexes are sound'
"$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null
"$bin/pg_ctl" -w -D "$dir/standby" promote >/dev/null
sql 5433 -c "SELECT add_faces(500, 400)" -c "DELETE FROM face WHERE id % 7 = 0" -c "VACUUM (INDEX_CLEANUP on) face" >/dev/null
is "$(check 5433)$(compare 5433 1 20 10)" '' 'promoted, it inserts and vacuums'
is "$(grep -hE 'inconsistent page|PANIC|TRAP' "$dir"/*.log | head -n 3)" '' 'every replayed page was as on the primary'
echo "1..$n"
