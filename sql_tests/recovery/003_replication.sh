#!/bin/bash
# Models and embeddings reach a standby and a logical subscriber, in order:
# loaded, used, replaced, dropped.
set -eu
data=$(pwd)/sql_tests/data
bin=${PGBIN:-$(pg_config --bindir)} dir=$(mktemp -d) n=0
trap 'for d in standby data; do "$bin/pg_ctl" -D "$dir/$d" -m immediate stop >/dev/null 2>&1 || true; done; rm -rf "$dir"' EXIT
is() { n=$((n + 1)); if [[ $1 == "$2" ]]; then echo "ok $n - $3"; else echo "not ok $n - $3"; printf "# got '%s' want '%s'\n" "$1" "$2"; fi; }
sql() { local port=$1 db=$2; shift 2; "$bin/psql" -XAtq -v ON_ERROR_STOP=1 -h "$dir" -p "$port" -U postgres -d "$db" "$@"; }
files() { for f in "$@"; do printf '%s\t\\\\x' "${f##*/}"; od -An -v -tx1 "$f" | tr -d ' \n'; echo; done; }
load() { sql 5432 postgres -c "SELECT face_model_load('people', data, 'mobilefacenet') FROM input WHERE name = '$1'" >/dev/null; }

unset PGOPTIONS PGDATABASE PGSERVICE || true
"$bin/initdb" -N -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C >/dev/null
"$bin/pg_ctl" -w -D "$dir/data" -l "$dir/log" -o "-k $dir -p 5432 -c listen_addresses= -c fsync=off -c statement_timeout=600s -c wal_level=logical" start >/dev/null
"$bin/pg_basebackup" -h "$dir" -p 5432 -U postgres -D "$dir/standby" -R -X stream >/dev/null
"$bin/pg_ctl" -w -D "$dir/standby" -l "$dir/log2" -o "-k $dir -p 5433 -c listen_addresses= -c fsync=off -c statement_timeout=600s -c hot_standby=on" start >/dev/null
# wait until the standby has replayed, and the subscriber has applied, all
wait_standby() {
	local lsn
	lsn=$(sql 5432 postgres -c 'SELECT pg_current_wal_lsn()')
	for _ in $(seq 600); do
		[ "$(sql 5433 postgres -c "SELECT pg_last_wal_replay_lsn() >= '$lsn'")" = t ] && return
		sleep 0.1
	done
	echo 'Bail out! the standby does not follow'; exit 1
}
wait_subscriber() {
	local lsn
	lsn=$(sql 5432 postgres -c 'SELECT pg_current_wal_lsn()')
	for _ in $(seq 600); do
		[ "$(sql 5432 postgres -c "SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 'faces'")" = t ] && return
		sleep 0.1
	done
	echo 'Bail out! the subscriber does not follow'; exit 1
}

sql 5432 postgres -c 'CREATE EXTENSION facerec' -c 'CREATE TABLE input (name text PRIMARY KEY, data bytea)' -c 'CREATE TABLE face (name text PRIMARY KEY, embedding faceembedding)'
files "$data"/models/*.onnx "$data"/patches/*.png "$data"/portraits/01-suyeri-1.jpg src/networks/embedder.onnx | sql 5432 postgres -c '\copy input FROM STDIN'
sql 5432 postgres -c "SELECT face_model_load('patches', data, 'yunet') FROM input WHERE name = 'patch-detector.onnx'" >/dev/null
load patch-embedder.onnx

# ---- a standby --------------------------------------------------------------
portrait="SELECT face_embed(data) FROM input WHERE name = '01-suyeri-1.jpg'"
embed="SELECT face_embed(data, 'people') FROM input WHERE name = 'ann-1.png'"
wait_standby
is "$(sql 5433 postgres -c "$embed")" "$(sql 5432 postgres -c "$embed")" 'the standby embeds as the primary does'
is "$(sql 5433 postgres -c "$portrait")" "$(sql 5432 postgres -c "$portrait")" 'also by the builtin models'
is "$(sql 5433 postgres -c "SELECT face_model_drop('people')" 2>&1 | grep -c ERROR)" 1 'the standby drops nothing'
# one session of the standby sees every change
coproc STANDBY { "$bin/psql" -XAtq -h "$dir" -p 5433 -U postgres -d postgres 2>&1; }
standby_pid=$STANDBY_PID
ask() { echo "$1;" >&"${STANDBY[1]}"; read -r -t 60 -u "${STANDBY[0]}" answer || answer='no answer'; echo "$answer"; }
dims="SELECT face_dims(face_embed(data, 'people')) FROM input WHERE name = 'ann-1.png'"
is "$(ask "$dims")" 16 'a session of the standby uses the model'
sql 5432 postgres -c "SELECT face_model_drop('people')" >/dev/null
load patch-embedder-b.onnx
wait_standby
is "$(ask "$dims")" 24 'the same session uses the model that replaced it'
sql 5432 postgres -c "SELECT face_model_drop('people')" >/dev/null
wait_standby
is "$(ask "$dims")" 'ERROR:  face model "people" does not exist' 'and none when it is dropped'
echo '\q' >&"${STANDBY[1]}"
wait "$standby_pid" || true

# ---- a logical subscriber ---------------------------------------------------
load patch-embedder.onnx
# a builtin row of another version's library, which the subscriber does not know
former() { sql 5432 postgres -c 'ALTER TABLE facerec_models DISABLE TRIGGER facerec_models_guard' -c "INSERT INTO facerec_models SELECT 'facerec-former-$1', '0000000$1', role, preset, descriptor, dims, sha256('$1'), license, source, builtin, loaded_at, weights FROM facerec_models WHERE name = 'facerec-landmarks'" -c 'ALTER TABLE facerec_models ENABLE ALWAYS TRIGGER facerec_models_guard'; }
former 1
sql 5432 postgres -c 'CREATE DATABASE subscriber'
sql 5432 subscriber -c 'CREATE EXTENSION facerec' -c 'CREATE TABLE input (name text PRIMARY KEY, data bytea)' -c 'CREATE TABLE face (name text PRIMARY KEY, embedding faceembedding)'
sql 5432 postgres -c 'CREATE PUBLICATION faces FOR TABLE facerec_models, facerec_thresholds, face, input' -c "SELECT pg_create_logical_replication_slot('faces', 'pgoutput')" >/dev/null
sql 5432 subscriber -c "CREATE SUBSCRIPTION faces CONNECTION 'host=$dir port=5432 user=postgres dbname=postgres' PUBLICATION faces WITH (create_slot = false, slot_name = 'faces')"
for _ in $(seq 600); do
	[ "$(sql 5432 subscriber -c "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'")" = 0 ] && break
	sleep 0.1
done
sql 5432 postgres -c "INSERT INTO face SELECT name, face_embed(data, 'people') FROM input WHERE name ~ 'png\$'"
wait_subscriber
models="SELECT md5(string_agg((to_jsonb(m) - CASE WHEN builtin THEN 'loaded_at' ELSE '' END)::text, E'\n' ORDER BY name)) FROM facerec_models m WHERE name !~ 'former'"
faces="SELECT md5(string_agg(f::text, E'\n' ORDER BY name)) FROM face f"
is "$(sql 5432 subscriber -c "$models")" "$(sql 5432 postgres -c "$models")" 'the subscriber has the models'
is "$(sql 5432 subscriber -c "$portrait")" "$(sql 5432 postgres -c "$portrait")" 'also the builtin ones, of which it has its own'
is "$(sql 5432 subscriber -c "$faces")" "$(sql 5432 postgres -c "$faces")" 'and the embeddings'
is "$(sql 5432 subscriber -c "SELECT bool_and(embedding IS NOT DISTINCT FROM face_embed(data, 'people')) FROM face JOIN input USING (name)")" t 'and makes the same ones'
sql 5432 postgres -c "SELECT face_model_drop('people')" >/dev/null
load patch-embedder-b.onnx
wait_subscriber
is "$(sql 5432 subscriber -c "$dims")" 24 'a replaced model is replaced there, too'
# another library at the publisher: its builtin rows go and come there alone
former 2
sql 5432 postgres -c "DELETE FROM facerec_models WHERE name = 'facerec-embedder'"
sql 5432 postgres -c "INSERT INTO face SELECT 'again', face_embed(data, 'people') FROM input WHERE name = 'ann-1.png'"
wait_subscriber
is "$(sql 5432 subscriber -c "SELECT count(*) FROM face WHERE name = 'again'")" 1 'replication goes on, whatever builtin models the publisher has'
is "$(sql 5432 subscriber -c "SELECT string_agg(name, ' ' ORDER BY name) FROM facerec_models WHERE builtin")" 'facerec-detector facerec-embedder facerec-landmarks' 'the subscriber keeps its own'
# a loaded model goes before a builtin one of the same network
sql 5432 postgres -c "SELECT face_model_load('loaded', data, 'mobilefacenet', '{\"flip\": true, \"detector\": \"facerec-detector\"}') FROM input WHERE name = 'embedder.onnx'" >/dev/null
wait_subscriber
is "$(sql 5432 subscriber -c "SELECT name, builtin FROM facerec_models WHERE role = 'embedder' AND name <> 'people'")" 'loaded|f' 'a model that is loaded replaces the builtin one of the same network'
# thresholds: as with models, each has those of its own version; others travel
shipped="SELECT md5(string_agg(t::text, E'\n' ORDER BY model, fmr)), count(*) FROM facerec_thresholds t WHERE builtin"
is "$(sql 5432 subscriber -c "$shipped")" "$(sql 5432 postgres -c "$shipped")" 'the subscriber has its own builtin thresholds'
before=$(sql 5432 subscriber -c "$shipped")
sql 5432 postgres -c 'DELETE FROM facerec_thresholds' -c "INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('site@0000abcd', 1e-3, 0.4), ('site@0000abcd', 1e-4, 0.3)"
wait_subscriber
is "$(sql 5432 subscriber -c "$shipped")" "$before" 'they stay when they are deleted at the publisher'
sql 5432 postgres -c 'SELECT facerec_thresholds_install()' -c "UPDATE facerec_thresholds SET threshold = 0.123 WHERE model ~ '^facerec-embedder-flip' AND fmr = 1e-4" >/dev/null
wait_subscriber
is "$(sql 5432 subscriber -c "SELECT count(*), count(*) FILTER (WHERE threshold = 0.123), count(*) FILTER (WHERE model = 'site@0000abcd') FROM facerec_thresholds WHERE NOT builtin")" '3|1|2' 'rows of a site arrive, also in place of builtin ones'
is "$(sql 5432 subscriber -c "$shipped")" "$(sql 5432 postgres -c "$shipped")" 'and the others stay builtin'
sql 5432 subscriber -c 'DROP SUBSCRIPTION faces' >/dev/null 2>&1
echo "1..$n"
