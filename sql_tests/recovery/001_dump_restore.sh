#!/bin/bash
# Models, embeddings and distances survive pg_dump | psql and COPY, bit by bit.
set -eu
data=$(pwd)/sql_tests/data
bin=${PGBIN:-$(pg_config --bindir)} dir=$(mktemp -d) n=0
trap '"$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
is() { n=$((n + 1)); if [[ $1 == "$2" ]]; then echo "ok $n - $3"; else echo "not ok $n - $3"; printf "# got '%s' want '%s'\n" "$1" "$2"; fi; }
sql() { local db=$1; shift; "$bin/psql" -XAtq -v ON_ERROR_STOP=1 -h "$dir" -p 5432 -U postgres -d "$db" "$@"; }
files() { for f in "$@"; do printf '%s\t\\\\x' "${f##*/}"; od -An -v -tx1 "$f" | tr -d ' \n'; echo; done; }

unset PGOPTIONS PGDATABASE PGSERVICE || true
"$bin/initdb" -N -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C >/dev/null
"$bin/pg_ctl" -w -D "$dir/data" -l "$dir/log" -o "-k $dir -p 5432 -c listen_addresses= -c fsync=off -c statement_timeout=600s" start >/dev/null

# ---- a database with models, photos and faces ------------------------------
sql postgres -c 'CREATE DATABASE a' -c 'CREATE DATABASE b' -c 'CREATE DATABASE c'
sql a -c 'CREATE SCHEMA ext; CREATE EXTENSION facerec SCHEMA ext'
sql a -c "ALTER DATABASE a SET search_path = public, ext" -c "ALTER DATABASE b SET search_path = public, ext"
sql a -c 'CREATE TABLE input (name text, data bytea); CREATE TABLE photo (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, data bytea)'
files "$data"/models/*.onnx "$data"/patches/*.png | sql a -c '\copy input FROM STDIN'
sql a -c "SELECT face_model_load('patches', data, 'yunet', license => 'PostgreSQL') FROM input WHERE name = 'patch-detector.onnx'" >/dev/null
sql a -c "SELECT face_model_load('people', data, 'mobilefacenet', '{\"flip\": true, \"mean\": [127.5, 127, 0.1], \"detection_threshold\": 0.55}') FROM input WHERE name = 'patch-embedder.onnx'" >/dev/null
sql a -c "SELECT face_model_load('pieces', ARRAY[substr(data, 1, 999), substr(data, 1000)], 'mobilefacenet') FROM input WHERE name = 'patch-embedder-b.onnx'" >/dev/null
# a model of three files, a detector that names another model, rare keys
sql a -c "SELECT face_model_load('cascade', array_agg(data ORDER BY array_position('{p,r,o}', substr(name, 13, 1))), 'mtcnn') FROM input WHERE name ~ 'mtcnn'" >/dev/null
sql a -c "SELECT face_model_load('points', data, 'omz-landmarks-0009') FROM input WHERE name = 'patch-landmarks.onnx'" >/dev/null
sql a -c "SELECT face_model_load('boxes', data, 'scrfd') FROM input WHERE name = 'patch-scrfd-boxes.onnx'" >/dev/null
sql a -c "SELECT face_model_load('bare', data, 'scrfd', '{\"landmarks\": null}') FROM input WHERE name = 'patch-scrfd-boxes.onnx'" >/dev/null
sql a -c "SELECT face_model_load('stretched', data, 'facenet', '{\"detector\": \"boxes\", \"input_size\": 112}') FROM input WHERE name = 'patch-embedder.onnx'" >/dev/null
sql a -c "INSERT INTO photo (name, data) SELECT name, data FROM input WHERE name ~ 'png\$' ORDER BY name; DROP TABLE input"
# the builtin models, by name and as the detector of another one
sql a -c 'CREATE TABLE portrait (name text PRIMARY KEY, data bytea)'
files "$data"/portraits/0[12]-*-[12].jpg | sql a -c '\copy portrait FROM STDIN'
sql a -c "CREATE TABLE known AS SELECT name, face_embed(data, 'facerec-embedder') AS embedding FROM portrait"
# (restored before facerec_models, whose rows it does not need)
sql a -c 'CREATE SCHEMA early' -c "CREATE TABLE early.badge (id int, photo bytea, embedding faceembedding GENERATED ALWAYS AS (face_embed(photo, 'facerec-embedder')) STORED)" -c 'INSERT INTO early.badge SELECT row_number() OVER (ORDER BY name), data FROM portrait'
sql a -c "SELECT face_model_load('borrower', data, 'mobilefacenet', '{\"detector\": \"facerec-detector\"}') FROM (SELECT weights AS data FROM ext.facerec_models WHERE name = 'pieces') s" >/dev/null
for db in a b; do
	sql postgres -c "ALTER DATABASE $db SET facerec.detector = 'patches'" -c "ALTER DATABASE $db SET facerec.embedder = 'people'"
done
sql a <<'SQL'
CREATE TABLE face (photo_id int PRIMARY KEY, person_id int, embedding faceembedding);
INSERT INTO face (photo_id, embedding) SELECT id, face_embed(data) FROM photo;
UPDATE face SET person_id = p.id FROM photo p WHERE p.id = photo_id;
INSERT INTO facerec_thresholds (model, fmr, threshold, n_genuine, n_impostor, source)
SELECT name || '@' || fingerprint, fmr, log(fmr * 1e6) / 2000, 1000, 1000000, 'for this test'
FROM facerec_models, unnest('{1e-2,1e-3,1e-4}'::float8[]) fmr WHERE name = 'people';
-- (computed again by the restore, which reads ext.facerec_models first)
CREATE TABLE badge (id int, photo bytea, embedding faceembedding(24) GENERATED ALWAYS AS (face_embed(photo, 'pieces')) STORED);
INSERT INTO badge SELECT id, data FROM photo;
CREATE TABLE odd (embedding faceembedding);
INSERT INTO odd VALUES ('[1]'), ('[1e-3,-1]'), ('MODEL=00000001;[1,2,3]'), (NULL);
INSERT INTO odd SELECT (SELECT ('[' || string_agg(sin(i * i * n)::text, ',') || ']') FROM generate_series(1, 4096) n)::faceembedding FROM generate_series(1, 3) i;
SQL
is "$(sql a -c 'SELECT count(*), count(embedding) FROM face')" '8|7' 'the photos have faces'

# ---- the same again --------------------------------------------------------
models="SELECT md5(string_agg(m::text, E'\n' ORDER BY name)) FROM ext.facerec_models m WHERE NOT builtin"
builtins="SELECT md5(string_agg((to_jsonb(m) - 'loaded_at')::text, E'\n' ORDER BY name)), count(*) FROM ext.facerec_models m WHERE builtin"
known="SELECT md5(string_agg(concat_ws('|', p.name, k.embedding, face_embed(data, 'facerec-embedder') = k.embedding, face_embed(data, 'borrower')), E'\n' ORDER BY p.name)), count(k.embedding) FROM portrait p JOIN known k USING (name)"
faces="SELECT md5(string_agg(concat_ws('|', photo_id, person_id, embedding, faceembedding_send(embedding)), E'\n' ORDER BY photo_id)) FROM face"
early="SELECT md5(string_agg(concat_ws('|', id, embedding), E'\n' ORDER BY id)), count(embedding) FROM early.badge"
badges="SELECT md5(string_agg(concat_ws('|', id, embedding), E'\n' ORDER BY id)) FROM badge"
odds="SELECT md5(string_agg(coalesce(embedding::text, 'null'), E'\n' ORDER BY embedding)) FROM odd"
distances="SELECT md5(string_agg((a.embedding <=> b.embedding)::text, ',' ORDER BY a.photo_id, b.photo_id)) FROM face a, face b"
looks="SELECT md5(string_agg(d::text, E'\n' ORDER BY d::text)) FROM photo, LATERAL (SELECT face_detect(data, m) FROM unnest('{cascade,boxes,bare}'::text[]) m UNION ALL SELECT NULL WHERE face_embed(data, 'stretched') IS NULL) d"
labels="SELECT DISTINCT face_model(embedding) FROM face WHERE embedding IS NOT NULL"
thresholds="SELECT md5(string_agg(t::text, E'\n' ORDER BY model, fmr)) FROM ext.facerec_thresholds t"
# the query of README.md, with the photo as its parameter
identity="PREPARE identify(bytea) AS
SELECT person_id, embedding <=> q.probe AS distance
FROM face, (SELECT face_embed(\$1) AS probe OFFSET 0) q
WHERE embedding % q.probe ORDER BY embedding <=> q.probe LIMIT 5;
SELECT format('EXECUTE identify(%L)', data) FROM photo WHERE name = 'ann-2.png' \\gexec"

"$bin/pg_dump" -h "$dir" -p 5432 -U postgres a >"$dir/a.sql"
sql b -f "$dir/a.sql" >"$dir/restore.log" 2>&1 && restored=yes || restored=no
is "$restored" yes 'pg_dump | psql runs without an error'
[ $restored = yes ] || sed 's/^/# /' "$dir/restore.log"
for what in models builtins thresholds faces badges odds distances looks labels identity known early; do
	is "$(sql b <<<"${!what}")" "$(sql a <<<"${!what}")" "$what are the same after pg_dump | psql"
done
is "$(sql b -c "SELECT bool_and(embedding = face_embed(data)) FROM face JOIN photo ON id = photo_id")" t 'the restored models give the stored embeddings'
is "$(sql b <<<"$identity" | cut -d'|' -f1 | sort | paste -sd,)" "$(sql b -c "SELECT id FROM photo WHERE name ~ '^ann'" | sort | paste -sd,)" 'the identification query finds the person and no one else'

is "$("$bin/pg_dump" -h "$dir" -p 5432 -U postgres --data-only -t ext.facerec_models a | grep -c '^facerec-' || true)" 0 'builtin models are not in the dump'
is "$(sql b <<<"$known" | cut -d'|' -f2)" 4 'portraits are known'

# a custom-format dump, restored in parallel; without the generated column,
# whose table must not be filled before the models are there
"$bin/pg_dump" -h "$dir" -p 5432 -U postgres -Fc -T badge -f "$dir/a.dump" a
sql postgres -c "ALTER DATABASE c SET search_path = public, ext"
"$bin/pg_restore" -h "$dir" -p 5432 -U postgres -d c -j 2 "$dir/a.dump" >"$dir/restore.log" 2>&1 && restored=yes || restored=no
is "$restored" yes 'pg_restore -j 2 runs without an error'
[ $restored = yes ] || sed 's/^/# /' "$dir/restore.log"
is "$(sql c -c "$models")" "$(sql a -c "$models")" 'models are the same after pg_restore'
is "$(sql c -c "$early")" "$(sql a -c "$early")" 'and so are columns that builtin models compute'
is "$(sql c -c "$faces")" "$(sql a -c "$faces")" 'faces are the same after pg_restore'

# ---- COPY, text and binary, of faces and of models --------------------------
for format in text binary; do
	sql a -c "\\copy face TO '$dir/face.$format' (FORMAT $format)" -c "\\copy odd TO '$dir/odd.$format' (FORMAT $format)" \
		-c "\\copy ext.facerec_models TO '$dir/models.$format' (FORMAT $format)"
	sql b -c 'TRUNCATE face, odd, ext.facerec_models' -c "\\copy face FROM '$dir/face.$format' (FORMAT $format)" \
		-c "\\copy odd FROM '$dir/odd.$format' (FORMAT $format)" -c "\\copy ext.facerec_models FROM '$dir/models.$format' (FORMAT $format)"
	for what in faces odds models; do
		is "$(sql b -c "${!what}")" "$(sql a -c "${!what}")" "$what are the same after COPY ($format)"
	done
done

# ---- a network of this library, loaded under another name -------------------
sql postgres -c 'CREATE DATABASE d' -c 'CREATE DATABASE e'
sql d -c 'CREATE EXTENSION facerec' -c 'DELETE FROM facerec_models WHERE builtin' -c 'CREATE TABLE input (name text, data bytea)'
files src/networks/*.onnx | sql d -c '\copy input FROM STDIN'
sql d -c "SELECT face_model_load('points', data, 'landmarks-5', '{\"flip\": true, \"second_look\": 0.09}') FROM input WHERE name = 'landmarks.onnx'" -c "SELECT face_model_load('finder', data, 'yunet', '{\"max_faces\": 3}') FROM input WHERE name = 'detector.onnx'" >/dev/null
# and thresholds of the extension that are deleted, changed, and of one's own
shipped="SELECT count(*) FILTER (WHERE builtin), count(*) FILTER (WHERE NOT builtin) FROM facerec_thresholds"
all=$(sql d -c 'SELECT count(*) FROM facerec_thresholds')
sql d -c 'DELETE FROM facerec_thresholds WHERE fmr < 1e-4' -c 'UPDATE facerec_thresholds SET threshold = threshold / 2 WHERE fmr = 1e-4' -c "INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('site@0000abcd', 1e-3, 0.4)"
own=$(sql d -c 'SELECT count(*) FROM facerec_thresholds WHERE NOT builtin')
"$bin/pg_dump" -h "$dir" -p 5432 -U postgres d | sql e >"$dir/restore.log" 2>&1 && restored=yes || restored=no
is "$restored" yes 'a dump with a network of this library under another name is restored'
[ $restored = yes ] || sed 's/^/# /' "$dir/restore.log"
is "$(sql e -c "SELECT string_agg(name, ' ' ORDER BY name) FROM facerec_models")" 'facerec-detector facerec-embedder finder points' 'it takes the place of the builtin one'

is "$(sql e -c "$shipped")" "$((all - own + 1))|$own" 'builtin thresholds are there again, but for those that were changed'
sql d -c 'SELECT facerec_thresholds_install()' >/dev/null 2>&1
is "$(sql d -c "$shipped")" "$(sql e -c "$shipped")" 'facerec_thresholds_install does the same in place'

# ---- a damaged row does not come in ----------------------------------------
sed 's/127\.5/127.6/' "$dir/models.text" >"$dir/models.bad"
sql b -c 'TRUNCATE ext.facerec_models'
is "$(sql b -c "\\copy ext.facerec_models FROM '$dir/models.bad'" 2>&1 | grep -c 'is not valid')" 1 'COPY of a changed descriptor is refused'
is "$(sql b -c 'SELECT count(*) FROM ext.facerec_models')" 0 'and nothing of it stays'
echo "1..$n"
