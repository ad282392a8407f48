#!/bin/bash
# A streaming standby answers as the primary does while that one inserts,
# deletes, vacuums and reindexes: every query of it, by the index, gives what a
# sequential scan of the same snapshot gives.  Every replayed page is compared
# with the primary's (wal_consistency_checking).
set -eu
. sql_tests/recovery/index_cluster.sh
seconds=${FACEREC_STANDBY_SECONDS:-15}
limit $((600 + seconds))

create data
start data 5432 "-c wal_level=replica -c max_wal_size=1GB -c autovacuum_naptime=1s -c wal_consistency_checking=generic"
sql 5432 -c "$faces_sql" -c "SELECT add_faces(3000, 400)" -c "CREATE INDEX people ON face USING faceindex (embedding)" >/dev/null
sql 5432 <<'SQL'
CREATE FUNCTION compare_here(first int, last int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE fault text := compare(first, last, 10);
BEGIN
	IF to_regclass('people') <> (SELECT oid FROM pg_class WHERE relname = 'people') THEN
		RETURN fault || ' by an index that is newer than the snapshot';
	END IF;
	RETURN fault;
END $$;
SQL
"$bin/pg_basebackup" -h "$dir" -p 5432 -U postgres -D "$dir/standby" -R -c fast -X stream >/dev/null
data_dirs=("$dir/standby" "$dir/data")
# Queries are not cancelled: replay waits for them instead.  It may do so with
# the lock of a REINDEX or of a VACUUM that truncates, for which such a query
# waits in turn; PostgreSQL does not see this deadlock, hence the lock_timeout.
# A query may also use an index that the primary made after its snapshot, without
# rows that were dead there: that is so with every kind of index.
echo "max_standby_streaming_delay = -1" >>"$dir/standby/postgresql.conf"
start standby 5433 "-c hot_standby=on -c log_recovery_conflict_waits=on -c lock_timeout=5s"
given_up='due to (lock timeout|conflict with recovery)|newer than the snapshot'
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

sql 5432 -c "CREATE TABLE stray (embedding faceembedding)" -c "CREATE INDEX strays ON stray USING faceindex (embedding)"
wait_standby
is "$(answers 5433)" "$(answers 5432)" 'the standby answers as the primary does'
is "$(check 5433)" '' 'its index is sound'

end=$((SECONDS + seconds))
loop() { while [ $SECONDS -lt $end ]; do sql 5432 "$@" >/dev/null 2>>"$dir/errors" || true; done; }
loop -c "SELECT add_faces(50, 400)" &
loop -c "SELECT add_faces(5, 400)" -c "UPDATE face SET embedding = face(person, (1e9 * random())::int) WHERE id % 97 = (96 * random())::int" &
loop -c "DELETE FROM face WHERE id % 20 = (19 * random())::int OR id < (SELECT max(id) - 8000 FROM face)" -c "VACUUM (INDEX_CLEANUP on) face" -c "SELECT pg_sleep(0.05)" &
loop -c "REINDEX INDEX CONCURRENTLY people" -c "SELECT pg_sleep(0.5)" &
# an index that is filled, emptied and forgotten
loop -c "BEGIN" -c "INSERT INTO stray SELECT face(i) FROM generate_series(1, 900) i" -c "ROLLBACK" -c "VACUUM (INDEX_CLEANUP on) stray" &
# ask FILE COMMAND...: what it prints goes there, or to given_up
ask() {
	local file=$1 said
	shift
	said=$("$@" 2>&1) || true
	[[ $said =~ $given_up ]] && file=given_up
	echo "$said" >>"$dir/$file"
}
while [ $SECONDS -lt $end ]; do
	ask strays sql 5433 -c "SET enable_seqscan = off; SET enable_sort = off" -c "SELECT count(*) FROM (SELECT FROM stray ORDER BY embedding <=> face(1, 0)) f"
done &
for reader in 1 2; do
	while [ $SECONDS -lt $end ]; do
		person=$((RANDOM % 380))
		ask found.$reader sql 5433 -c "BEGIN ISOLATION LEVEL REPEATABLE READ" -c "SELECT compare_here($person, $((person + 5)))" -c COMMIT
	done &
done
wait
touch "$dir/given_up"
compared=$(cat "$dir"/found.* | wc -l) ended=$(grep -cE "$given_up" "$dir/given_up" || true)
echo "# $compared comparisons on the standby; $ended queries were given up"
is "$(cat "$dir"/found.* | grep -v '^$' | head -n 3)" '' 'while the primary works, the standby finds what a scan finds'
is "$((compared > ended))" 1 'nearly always'
is "$(sort "$dir/strays" | uniq)" 0 'nor does it see rows that were rolled back, or errors'
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

# The same where VACUUM compacts one list and the other one takes over its
# pages, re-rank pages among them: a candidate whose re-rank code is gone counts
# by its 1-bit code, and not by what lies there now.
sql 5432 >/dev/null <<'SQL'
CREATE FUNCTION near(side int, i int) RETURNS faceembedding LANGUAGE sql IMMUTABLE AS
	$$ SELECT ('MODEL=0000abcd;[' || string_agg(((n % 2 = side)::int + 1.1 * hashint4extended(i, n) / 2.0 ^ 63)::text, ',') || ']')::faceembedding FROM generate_series(1, 48) n $$;
CREATE TABLE sides AS SELECT i AS id, 0 AS side, near(0, i) AS embedding FROM generate_series(1, 1500) i;
INSERT INTO sides SELECT i, 1, near(1, i) FROM generate_series(10001, 11200) i;
INSERT INTO sides VALUES (9000, 0, near(0, 5));
CREATE INDEX two ON sides USING faceindex (embedding) WITH (lists = 2);
DELETE FROM sides WHERE side = 0 AND id % 5 > 0 AND id < 9000 OR id = 5;
SQL
wait_standby
coproc AGAIN { psql -p 5433 2>&1; }
again_pid=$AGAIN_PID
exec {listen}<&"${AGAIN[0]}" {speak}>&"${AGAIN[1]}"
say 'SET enable_seqscan = off; SET enable_sort = off; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM sides WHERE embedding <=> near(0, 5) < 0.75;'
hear
count=$answer
say 'DECLARE c CURSOR FOR SELECT 1 FROM sides WHERE embedding <=> near(0, 5) < 0.75 ORDER BY embedding <=> near(0, 5); FETCH 1 FROM c;'
hear
sql 5432 -c "VACUUM (INDEX_CLEANUP on) sides" -c "INSERT INTO sides SELECT i, 1, near(1, i) FROM generate_series(20001, 23000) i" >/dev/null
wait_standby
say 'MOVE FORWARD ALL FROM c;'
say '\echo :ROW_COUNT'
hear
if [[ $answer =~ ^[0-9]+$ ]]; then
	is "$((answer + 1))" "$count" 'nor one whose pages another list took over'
else
	is "$(grep -c 'due to conflict with recovery' <<<"$answer")" 1 'replay ended the cursor'
fi
say 'COMMIT; \q'
wait "$again_pid" || true

# VACUUM splits a list when rows are dead on the primary that a query of the
# standby sees.  Nothing ends that query, for the rows are still in the table: a
# cursor holds their page, which is not full, so that nobody prunes it.
sql 5432 -c "CREATE TABLE late (LIKE face)" -c "CREATE INDEX lately ON late USING faceindex (embedding)" \
	-c "INSERT INTO late SELECT i, i, face(i) FROM generate_series(1, 3000) i"
last=$(sql 5432 <<'SQL'
CREATE FUNCTION fill(OUT place tid) LANGUAGE plpgsql AS
	$$ BEGIN LOOP INSERT INTO late VALUES (0, 7, face(7)) RETURNING ctid INTO place; EXIT WHEN place::text LIKE '%,3)'; END LOOP; END $$;
SELECT fill();
SQL
)
wait_standby
coproc LATE { psql -p 5433 2>&1; }
late_pid=$LATE_PID
exec {listen}<&"${LATE[0]}" {speak}>&"${LATE[1]}"
say 'SET enable_seqscan = off; SET enable_sort = off; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM late;'
hear
count=$answer
sql 5432 -c "DELETE FROM late WHERE ctid IN ('${last/,3/,1}', '${last/,3/,2}')"
exec {hold}> >(psql -p 5432 >"$dir/held")
echo "BEGIN; DECLARE c CURSOR FOR SELECT id FROM late WHERE ctid >= '$last'; FETCH 1 FROM c;" >&"$hold"
for _ in $(seq 600); do [ -s "$dir/held" ] && break; sleep 0.05; done
sql 5432 -c "VACUUM (INDEX_CLEANUP on) late"
exec {hold}>&-
is "$(sql 5432 -c "SELECT lists > 20 FROM facerec_index_info('lately')")" t 'a list is split'
wait_standby
say 'SELECT count(*) FROM (SELECT FROM late ORDER BY embedding <=> face(7)) f;'
hear
is "$answer" "$count" 'with the rows that only the standby sees'
say 'SELECT count(*) = (SELECT count(*) FROM late WHERE person = 7) FROM (SELECT FROM late WHERE embedding <=> face(7) < 0.001 ORDER BY embedding <=> face(7)) f;'
hear
is "$answer" t 'which are found'
say 'COMMIT; \q'
wait "$late_pid" || true

wait_standby
is "$(answers 5433)" "$(answers 5432)" 'at rest the standby answers as the primary does'
is "$(check 5433)$(check 5432)" '' 'both indexes are sound'
"$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null
"$bin/pg_ctl" -w -D "$dir/standby" promote >/dev/null
sql 5433 -c "SELECT add_faces(500, 400)" -c "DELETE FROM face WHERE id % 7 = 0" -c "VACUUM (INDEX_CLEANUP on) face" >/dev/null
is "$(check 5433)$(compare 5433 1 20 10)" '' 'promoted, it inserts and vacuums'
is "$(grep -hE 'inconsistent page|PANIC|TRAP' "$dir"/*.log | head -n 3)" '' 'every replayed page was as on the primary'
echo "1..$n"
