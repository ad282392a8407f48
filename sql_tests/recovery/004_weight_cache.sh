#!/bin/bash
# Files of packed weights: every backend maps the same one, and whatever
# happens to it (several make it at once, it is removed, damaged, cut off, the
# disk is full, its maker is killed) costs time, never the result.
set -eu
data=$(pwd)/sql_tests/data
tool=$(pwd)/build/tools/make_embedder
bin=${PGBIN:-$(pg_config --bindir)} dir=$(mktemp -d) n=0
cache=$dir/data/base/pgsql_tmp_facerec
trap 'for d in standby data; do "$bin/pg_ctl" -D "$dir/$d" -m immediate stop >/dev/null 2>&1 || true; done; rm -rf "$dir"' EXIT
is() { n=$((n + 1)); if [[ $1 == "$2" ]]; then echo "ok $n - $3"; else echo "not ok $n - $3"; printf "# got '%s' want '%s'\n" "$1" "$2"; fi; }
psql() { PGOPTIONS="-c client_min_messages=warning" "$bin/psql" -XAtq -v ON_ERROR_STOP=1 -h "$dir" -p 5432 -U postgres -d postgres "$@"; }
start() { "$bin/pg_ctl" -w -D "$dir/data" -l "$dir/log" -o "-k $dir -p 5432 -c listen_addresses= -c fsync=off -c statement_timeout=600s -c wal_level=replica -c wal_log_hints=on -c wal_keep_size=256MB" start >/dev/null; }
stop() { "$bin/pg_ctl" -w -D "$dir/data" -m "${1:-fast}" stop >/dev/null; }
embed() { psql -c "SELECT md5(face_embed_aligned(data, '$1')::text) FROM input WHERE name = 'crop.png'"; }
count() { find "$cache" -name "*$1" 2>/dev/null | wc -l; }
logged() { grep -c "$1" "$dir/log" || true; }
load() { psql -c "SELECT face_model_load('$1', pg_read_binary_file('$dir/$2'), 'arcface', '$3')" >/dev/null; }

if [ ! -x "$tool" ]; then
	tool=$dir/make_embedder
	${CC:-cc} -O2 -Isrc src/test/tools/make_embedder.c -o "$tool" || { echo "1..0 # SKIP needs build/tools/make_embedder or a C compiler"; exit 0; }
fi
"$tool" 16 >"$dir/people.onnx"
"$tool" 16 2 >"$dir/others.onnx"
"$tool" 1 3 64 >"$dir/wide.onnx"

unset PGOPTIONS PGDATABASE PGSERVICE || true
"$bin/initdb" -N -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C >/dev/null
start
psql -c 'CREATE EXTENSION facerec' -c 'CREATE TABLE input (name text PRIMARY KEY, data bytea)'
for f in "$data"/patches/crop.png "$data"/patches/party.png "$data"/models/patch-mtcnn-?.onnx; do
	psql -c "INSERT INTO input VALUES ('${f##*/}', pg_read_binary_file('$f'))"
done
load people people.onnx '{}'
is "$(count .weights)" 0 'loading a model leaves no file'

# ---- what it must be --------------------------------------------------------
want=$(psql -c "SET facerec.weight_cache = off" -c "SELECT md5(face_embed_aligned(data, 'people')::text) FROM input WHERE name = 'crop.png'")
is "$(count .weights)" 0 'nor does using it with facerec.weight_cache = off'

# ---- eight processes make it at once ----------------------------------------
for i in $(seq 8); do embed people >"$dir/got.$i" 2>&1 & done
for job in $(jobs -p); do wait "$job" || true; done
is "$(sort -u "$dir"/got.*)" "$want" 'eight processes at once get the same embedding'
is "$(count .weights) $(count .tmp)" '1 0' 'there is one file, and none half made'
is "$(logged 'packed weights')" 0 'without a complaint'
file=$(find "$cache" -name '*.weights')
cp "$file" "$dir/good"
inode() { stat -c %i "$file"; }
made=$(inode)
is "$(embed people)" "$want" 'a further process gets the same'
is "$(inode)" "$made" 'of the same file'
if [ -r /proc/self/maps ]; then
	private="SELECT sum(substring(line FROM '(\d+) kB')::int) FROM regexp_split_to_table(pg_read_file('/proc/self/smaps_rollup'), '\n') line WHERE line ~ '^Private_'"
	is "$(psql -c "SELECT face_embed_aligned(data, 'people') IS NULL FROM input WHERE name = 'crop.png'" \
		-c "SELECT pg_read_file('/proc/self/maps') ~ '\.weights'" | tail -1)" t 'which it has mapped'
	# beside another process that has mapped it, so that its pages are shared
	coproc OTHER { "$bin/psql" -XAtq -h "$dir" -p 5432 -U postgres -d postgres 2>&1; }
	other_pid=$OTHER_PID
	echo "SELECT md5(face_embed_aligned(data, 'people')::text) FROM input WHERE name = 'crop.png';" >&"${OTHER[1]}"
	read -r -t 60 -u "${OTHER[0]}" answer || answer='no answer'
	is "$answer" "$want" 'a session has mapped it'
	is "$(psql -c "SELECT face_embed_aligned(data, 'people') IS NULL FROM input WHERE name = 'crop.png'" -c "SELECT ($private) < 15000" | tail -1)" t \
		'its weights of 32 MB take no private memory'
	echo '\q' >&"${OTHER[1]}"
	wait "$other_pid" || true
fi
is "$(stat -c %a "$file")" 600 'nobody else may read it'

# ---- removed ----------------------------------------------------------------
rm "$file"
is "$(embed people)" "$want" 'a file that was removed is missed by nobody'
is "$(cmp "$file" "$dir/good" && echo same)" same 'and is made again, bit for bit'
rm -r "$cache"
is "$(embed people)" "$want" 'nor is the directory'
is "$(cmp "$file" "$dir/good" && echo same)" same 'it is made again as well'

# ---- damaged: each field of the header, image, items, index -------------------
size=$(stat -c %s "$dir/good")
damage() { # offset
	printf "\\x$(printf %02x $((255 - $(od -An -tu1 -j "$1" -N1 "$dir/good"))))" | dd of="$file" bs=1 seek="$1" conv=notrunc status=none
}
wrong= kept=
for offset in 0 16 20 24 40 56 64 72 80 88 96 104 184 192 4096 $((size / 3)) $((size / 2)) $((size - 4096)) $((size - 1)); do
	damage "$offset"
	[ "$(embed people)" = "$want" ] || wrong="$wrong $offset"
	cmp -s "$file" "$dir/good" || kept="$kept $offset"
done
is "$wrong" '' 'a byte that was changed anywhere never changes a result'
is "$kept" '' 'and the file is made again'
is "$(logged 'discarding packed weights')" 19 'the log says so each time'
for length in 0 100 192 5000 $((size / 2)) $((size - 64)); do
	truncate -s "$length" "$file"
	[ "$(embed people)" = "$want" ] || wrong="$wrong $length"
	cmp -s "$file" "$dir/good" || kept="$kept $length"
done
is "$wrong$kept" '' 'neither does a file that was cut off'

# ---- damaged while nobody looks: the server is down ---------------------------
stop
damage $((size / 2))
touch -r "$dir/good" "$file"
start
is "$(embed people)" "$want" 'damage from before the server started is found'
is "$(cmp "$file" "$dir/good" && echo same)" same 'and mended'

# ---- under a session that has it mapped ----------------------------------------
coproc SESSION { "$bin/psql" -XAtq -h "$dir" -p 5432 -U postgres -d postgres 2>&1; }
session_pid=$SESSION_PID
ask() { echo "SELECT md5(face_embed_aligned(data, 'people')::text) FROM input WHERE name = 'crop.png';" >&"${SESSION[1]}"; read -r -t 60 -u "${SESSION[0]}" answer || answer='no answer'; echo "$answer"; }
is "$(ask)" "$want" 'a session has it mapped'
rm "$file"
is "$(ask)" "$want" 'and goes on when it is removed'
is "$(embed people) $(ask)" "$want $want" 'and when another process has made it anew'
truncate -s 8192 "$file"
is "$(ask)" "$want" 'a session maps a new file'
# the new file is the one that the session maps from here on
damage $((size / 2))
is "$(ask)" "$want" 'and notices when somebody writes into it'
truncate -s 100 "$file"
is "$(ask)" "$want" 'or cuts it off'
is "$(logged 'was terminated by signal')" 0 'nobody has crashed'
echo '\q' >&"${SESSION[1]}"
wait "$session_pid" || true

# ---- a process that has no room to map it ----------------------------------------
if command -v prlimit >/dev/null; then
	embed people >/dev/null
	made=$(inode)
	coproc SMALL { "$bin/psql" -XAtq -h "$dir" -p 5432 -U postgres -d postgres 2>&1; }
	small_pid=$SMALL_PID
	echo "SELECT pg_backend_pid(), face_embedding(array_fill(1::real, '{128}'), 'people') IS NULL;" >&"${SMALL[1]}"
	read -r -t 60 -u "${SMALL[0]}" backend
	backend=${backend%|*}
	prlimit --pid "$backend" --as=$((1024 * ($(awk '/^VmSize/ { print $2 }' "/proc/$backend/status") + 8192))):
	is "$(echo "SELECT md5(face_embed_aligned(data, 'people')::text) FROM input WHERE name = 'crop.png';" >&"${SMALL[1]}"
		read -r -t 60 -u "${SMALL[0]}" answer && echo "$answer" | grep -o 'out of memory') $(inode)" "out of memory $made" 'a process without memory leaves it to the others'
	echo '\q' >&"${SMALL[1]}"
	wait "$small_pid" || true
fi

# ---- made by another process while a session packs for itself ------------------------
rm "$file"
perl -e 'print pack("q<", time)' >"$cache/lock"
coproc ALONE { "$bin/psql" -XAtq -h "$dir" -p 5432 -U postgres -d postgres 2>&1; }
alone_pid=$ALONE_PID
alone() { echo "SELECT md5(face_embed_aligned(data, 'people')::text) FROM input WHERE name = 'crop.png';" >&"${ALONE[1]}"; read -r -t 60 -u "${ALONE[0]}" answer || answer='no answer'; echo "$answer"; }
is "$(alone) $(count .weights)" "$want 0" 'while writing has failed lately nobody tries again'
: >"$cache/lock"
embed people >/dev/null
made=$(inode)
is "$(alone) $(alone) $(inode)" "$want $want $made" 'a file that has all is not replaced'
echo '\q' >&"${ALONE[1]}"
wait "$alone_pid" || true

# ---- killed while it is made ---------------------------------------------------
killed=no
for attempt in $(seq 20); do
	rm -f "$file"
	coproc MAKER { "$bin/psql" -XAtq -h "$dir" -p 5432 -U postgres -d postgres 2>&1; }
	maker_pid=$MAKER_PID
	echo 'SELECT pg_backend_pid();' >&"${MAKER[1]}"
	read -r -t 60 -u "${MAKER[0]}" backend
	echo "SELECT face_embed_aligned(data, 'people') IS NULL FROM input WHERE name = 'crop.png';" >&"${MAKER[1]}"
	until [ -e "${file%.weights}.tmp" ] || [ -e "$file" ]; do :; done
	kill -9 "$backend"
	echo '\q' >&"${MAKER[1]}" || true
	wait "$maker_pid" || true
	[ "$(count .tmp)" = 1 ] && killed=yes && break
	for poll in $(seq 600); do psql -c 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
done
is "$killed $(count .tmp)" 'yes 1' 'a process is killed while it makes the file'
for poll in $(seq 600); do psql -c 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
is "$(embed people)" "$want" 'the next process gets the right embedding'
is "$(cmp "$file" "$dir/good" && echo same) $(count .tmp)" 'same 0' 'makes the file and removes the half made one'

# ---- no room ---------------------------------------------------------------------
rm -r "$cache"
stop
(ulimit -f 20480 && start)
is "$(embed people)" "$want" 'a full disk changes no result'
is "$(count .weights) $(count .tmp)" '0 0' 'and leaves nothing behind'
is "$(logged 'could not write file .*weights')" 1 'the log tells of it'
is "$(embed people) $(logged 'could not write file .*weights')" "$want 1" 'the next process does not try that again at once'
stop
rm -r "$cache"
echo 'not a directory' >"$cache"
start
is "$(embed people)" "$want" 'nor does it matter when there can be no directory'
is "$(logged 'could not use directory')" 1 'the log tells of that, too'
rm "$cache"

# ---- the size of all files ----------------------------------------------------------
load others others.onnx '{}'
embed people >/dev/null
touch -d '2 days ago' "$file" "${file%.weights}.checked"
psql -c 'SET facerec.weight_cache_size = 40' -c "SELECT face_embed_aligned(data, 'others') IS NULL FROM input WHERE name = 'crop.png'" >/dev/null
is "$(count .weights) $(test -e "$file" && echo there)" '1 ' 'the file used longest ago makes room'
is "$(embed people) $(count .weights)" "$want 2" 'and is made again where there is room'
psql -c 'SET facerec.weight_cache_size = 10' -c "SELECT face_embed_aligned(data, 'others') IS NULL FROM input WHERE name = 'crop.png'" >/dev/null
is "$(count .weights)" 2 'a smaller limit removes nothing by itself'

# ---- a session that may use little memory ---------------------------------------------
load wide wide.onnx '{}'
embed wide >/dev/null
wide=$(ls -i "$cache"/*.weights)
narrow=$(psql -c "SET facerec.max_inference_memory = '1MB'" -c "SELECT face_embed_aligned(data, 'wide') IS NULL FROM input WHERE name = 'crop.png'" 2>&1 || true)
is "$([[ $narrow == *ERROR* ]] && echo refused) $(ls -i "$cache"/*.weights)" "refused $wide" 'a limit of one session takes no file from the others'
psql -c "SELECT face_model_drop('wide')" >/dev/null

# ---- a half as large ------------------------------------------------------------------
load halves people.onnx '{"weight_storage": "fp16"}'
is "$(psql -c "SELECT 1 - (face_embedding(a::real[], 'people') <=> face_embedding(b::real[], 'people')) > 0.9999 FROM (SELECT face_embed_aligned(data, 'people') AS a, face_embed_aligned(data, 'halves') AS b FROM input WHERE name = 'crop.png') s")" t \
	'weights stored as halves give nearly the same embedding'
is "$(psql -c "SELECT count(DISTINCT fingerprint) FROM facerec_models WHERE name IN ('people', 'halves')")" 2 'of another model'
half=$(find "$cache" -name "$(basename "$file" | cut -c1-32).*.weights" ! -path "$file")
is "$(($(stat -c %s "$half") < size - 5000000 ? 1 : 0))" 1 'its file is smaller'

psql -c "SELECT face_model_drop('halves')" >/dev/null
is "$(count .weights)" 3 'files of weights that another model has stay'

# ---- three networks, three files --------------------------------------------------------
before=$(count .weights)
psql -c "SELECT face_model_load('mtcnn', array_agg(data ORDER BY position(substr(name, 13, 1) IN 'pro')), 'mtcnn') FROM input WHERE name ~ 'mtcnn'" >/dev/null
detect="SELECT md5(string_agg(f::text, ' ')) FROM input, face_detect(data, 'mtcnn') f WHERE name = 'party.png'"
alone=$(psql -c 'SET facerec.weight_cache = off' -c "$detect")
is "$(psql -c "$detect") $(psql -c "$detect") $(count .weights)" "$alone $alone $((before + 3))" 'a model of three networks has three files'

# ---- dropped -------------------------------------------------------------------------------
psql -c "SELECT face_model_drop('mtcnn')" -c "SELECT face_model_drop('others')" >/dev/null
is "$(count .weights) $(count .checked)" '2 2' 'files go with their models'

# ---- a standby -----------------------------------------------------------------------------
"$bin/pg_basebackup" -h "$dir" -p 5432 -U postgres -D "$dir/standby" -c fast -R -X stream >/dev/null
is "$(find "$dir/standby" -name '*.weights' | wc -l)" 0 'a base backup has no files of packed weights'
"$bin/pg_ctl" -w -D "$dir/standby" -l "$dir/log2" -o "-k $dir -p 5433 -c listen_addresses= -c fsync=off -c statement_timeout=600s -c hot_standby=on" start >/dev/null
standby() { "$bin/psql" -XAtq -h "$dir" -p 5433 -U postgres -d postgres -c "SELECT md5(face_embed_aligned(data, 'people')::text) FROM input WHERE name = 'crop.png'"; }
is "$(standby) $(standby)" "$want $want" 'a standby embeds as the primary does'
is "$(find "$dir/standby" -name '*.weights' -exec cmp {} "$dir/good" \; | wc -l) $(find "$dir/standby" -name '*.weights' | wc -l)" '0 1' 'and has a file of its own, the same'

# ---- a rewound server -----------------------------------------------------------------------
"$bin/pg_ctl" -w -D "$dir/standby" promote >/dev/null
"$bin/psql" -XAtq -h "$dir" -p 5433 -U postgres -d postgres -c 'CHECKPOINT'
psql -c 'CREATE TABLE lost ()'
stop
"$bin/pg_rewind" --debug --dry-run -D "$dir/data" --source-server="host=$dir port=5433 user=postgres dbname=postgres" >"$dir/rewind" 2>&1 || cat "$dir/rewind"
is "$(grep -q 'postgresql.conf (COPY)' "$dir/rewind" && echo ran) $(grep pgsql_tmp "$dir/rewind" | grep -Ec '[(](COPY|CREATE)' || true)" 'ran 0' 'pg_rewind copies no files of packed weights'
echo "1..$n"
