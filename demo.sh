#!/bin/sh
# Install what is missing, build, start a private cluster, enrol portraits,
# identify people, print the result and draw it into demo/*.jpg.
#
# usage: ./demo.sh        (as root, or as a user with sudo)
cd "$(dirname "$0")" || exit 1
. src/test/scripts/setup.sh

# tsv FILE...: lines for COPY, the file's name and its bytes in hex.
tsv() {
	for file in "$@"; do
		printf '%s\t\\\\x' "${file##*/}"
		od -An -v -tx1 "$file" | tr -d ' \n'
		echo
	done
}
run() { psql -Xq -v ON_ERROR_STOP=1 "$@"; }

prepare
start_cluster
createdb facerec_demo
export PGDATABASE=facerec_demo

say "CREATE EXTENSION facerec, a table of photos"
tsv sql_tests/data/portraits/[0-9]*.jpg sql_tests/data/portraits/group-*.jpg >"$work/photos.tsv"
run -v photos="$work/photos.tsv" -f src/test/scripts/demo_load.sql

say "enrolling four portraits of each person, identifying the fifth"
run -f src/test/scripts/demo.sql

mkdir -p demo
for group in group-1 group-2 group-3; do
	run -At -v file="$group.jpg" -f src/test/scripts/demo_draw.sql | base64 -d >"demo/$group.jpg"
done
say "the same as pictures, with boxes and names: $(ls demo/*.jpg | tr '\n' ' ')"
