# Sourced by the tests of faceindex that crash, replicate and load a server:
# a cluster of their own, faces made in SQL, and a comparison of what the index
# finds with what a sequential scan finds.
data_dirs=()
bin=${PGBIN:-$(pg_config --bindir)} dir=$(mktemp -d) n=0
unset PGOPTIONS PGDATABASE PGSERVICE || true
stop_all() {
	local status=$? d
	[ $status = 0 ] || echo "Bail out! $0 ended with $status after test $n"
	touch "$dir/stop"
	kill $(jobs -p) 2>/dev/null || true
	for d in "${data_dirs[@]}"; do "$bin/pg_ctl" -D "$d" -m immediate stop >/dev/null 2>&1 || true; done
	wait
	rm -rf "$dir"
}
trap stop_all EXIT
is() { n=$((n + 1)); if [[ $1 == "$2" ]]; then echo "ok $n - $3"; else echo "not ok $n - $3"; printf "# got '%s' want '%s'\n" "$1" "$2"; fi; }
psql() { "$bin/psql" -XAtq -h "$dir" -U postgres -d postgres "$@"; }
sql() { local port=$1; shift; psql -v ON_ERROR_STOP=1 -p "$port" "$@"; }
start() { # start NAME PORT OPTIONS
	"$bin/pg_ctl" -w -D "$dir/$1" -l "$dir/$1.log" -o "-k $dir -p $2 -c listen_addresses= -c fsync=off -c max_connections=40 ${3-}" start >/dev/null 2>&1
}
create() { # create NAME
	"$bin/initdb" -N -D "$dir/$1" -U postgres -A trust -E UTF8 --locale=C >/dev/null
	data_dirs+=("$dir/$1")
}

# limit SECONDS: what runs longer hangs.  Say where, and stop the servers, which
# ends whatever waits for them.  Not a job of this shell, whose `wait` would wait
# for it.
limit() { (watch $((SECONDS + $1)) >&2 &); }
watch() {
	while [ $SECONDS -lt "$1" ]; do
		[ -d "$dir" ] || return 0
		sleep 1
	done
	local file
	for file in "$dir"/*/postmaster.pid; do
		echo "# $0 hangs; ${file%/*}:"
		psql -p "$(sed -n 4p "$file")" -c "SET statement_timeout = '5s'" \
			-c "SELECT pid, backend_type, state, wait_event_type, wait_event, now() - query_start, left(query, 150) FROM pg_stat_activity" 2>&1 | sed 's/^/# /'
		tail -n 5 "${file%/*}.log" | sed 's/^/# /'
	done
	for file in "$dir"/*/postmaster.pid; do "$bin/pg_ctl" -D "${file%/*}" -m immediate stop >/dev/null 2>&1; done
}

# face(person, picture): 64 dimensions; pictures of a person are about 0.25
# apart, persons about 1.  answers(...): the distances that queries deliver, in
# the order of delivery.  Whoever calls it has chosen the plan.
faces_sql="
CREATE EXTENSION facerec;
CREATE FUNCTION face(person int, picture int DEFAULT 0) RETURNS faceembedding LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	\$\$ SELECT ('MODEL=0000abcd;[' || string_agg((hashint4extended(person, n) / 2.0 ^ 63 + 0.5 * hashint4extended(picture, person * 64::bigint + n) / 2.0 ^ 63)::text, ',') || ']')::faceembedding
	   FROM generate_series(1, 64) n \$\$;
CREATE TABLE face (id bigint GENERATED ALWAYS AS IDENTITY, person int, embedding faceembedding);
CREATE FUNCTION add_faces(count int, people int) RETURNS void LANGUAGE sql AS
	\$\$ INSERT INTO face (person, embedding) SELECT p, face(p, (1e9 * random())::int)
	   FROM generate_series(1, count) i, LATERAL (SELECT (people * random() + 0 * i)::int AS p) r \$\$;
CREATE FUNCTION answers(first int, last int, amount int) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN QUERY EXECUTE 'SELECT array_agg(distance)::text FROM (SELECT p, face(p, 0) AS probe FROM generate_series(\$1, \$2) p OFFSET 0) q,
		LATERAL (SELECT embedding <=> probe AS distance FROM face ORDER BY embedding <=> probe LIMIT \$3) f GROUP BY p ORDER BY p'
		USING first, last, amount;
END \$\$;
CREATE FUNCTION uses_index() RETURNS boolean LANGUAGE plpgsql AS \$\$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) SELECT FROM face ORDER BY embedding <=> face(1, 0) LIMIT 5' INTO plan;
	RETURN plan::text ~ 'Index Scan';
END \$\$;
-- by index and by sequential scan in one snapshot; what differs
CREATE FUNCTION compare(first int, last int, amount int, OUT fault text) LANGUAGE plpgsql AS \$\$
DECLARE by_index text[]; by_scan text[]; counted bigint; different bigint; existing bigint;
BEGIN
	SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_indexscan = on;
	IF NOT uses_index() THEN fault := 'the index is not used'; RETURN; END IF;
	by_index := ARRAY(SELECT answers(first, last, amount));
	EXECUTE 'SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM face ORDER BY embedding <=> \$1) f' INTO counted, different USING face(first, 0);
	SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on; SET LOCAL enable_indexscan = off;
	by_scan := ARRAY(SELECT answers(first, last, amount));
	EXECUTE 'SELECT count(*) FROM face' INTO existing;
	IF counted <> existing OR different <> existing THEN
		fault := format('%s rows by the index, %s of them different, %s in the table', counted, different, existing);
	END IF;
	FOR i IN 1 .. cardinality(by_scan) LOOP
		IF by_index[i] IS DISTINCT FROM by_scan[i] THEN
			fault := format('person %s: by the index %s, by a scan %s', first + i - 1, by_index[i], by_scan[i]);
		END IF;
	END LOOP;
END \$\$;
"
# compare PORT FIRST LAST AMOUNT: one snapshot, empty when all is the same
compare() { sql "$1" -c "BEGIN ISOLATION LEVEL REPEATABLE READ" -c "SELECT compare($2, $3, $4)" -c COMMIT 2>&1; }
# check PORT: every index of face against its table, empty when all is well
check() { sql "$1" -c "SELECT facerec_index_check(indexrelid::regclass, true) FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam WHERE amname = 'faceindex' AND indisvalid" 2>&1; }
