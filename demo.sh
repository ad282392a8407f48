#!/bin/sh
# Install what is missing, build, start a private cluster, enrol portraits,
# identify people, print the result and draw it into demo/*.jpg.
#
# usage: ./demo.sh        (as root, or as a user with sudo)
# FACEREC_TESTDATA names the folder with pretrained models and portraits
# (default ../shared).
cd "$(dirname "$0")" || exit 1
. src/test/scripts/setup.sh

# tsv FOLDER FILE...: lines for COPY, the file's name and its bytes in hex.
tsv() {
	folder=$1
	shift
	for file in "$@"; do
		printf '%s\t\\\\x' "$file"
		od -An -v -tx1 "$folder/$file" | tr -d ' \n'
		echo
	done
}

prepare
data=$(find_testdata)
[ -n "$data" ] || fail "no pretrained models found; set FACEREC_TESTDATA to the folder that holds models/ and portraits/"

start_cluster
createdb facerec_demo
export PGDATABASE=facerec_demo

say "loading the networks and the portraits"
tsv "$data/models" yunet_n_dynamic.onnx mobilefacenet-128.onnx >"$work/models.tsv"
tsv "$data/portraits" $(cd "$data/portraits" && ls [0-9][0-9]-*.jpg group-*.jpg) >"$work/photos.tsv"
psql -Xq -v ON_ERROR_STOP=1 -v models="$work/models.tsv" -v photos="$work/photos.tsv" -f src/test/scripts/demo_load.sql

say "enrolling four portraits of each person, identifying the fifth"
psql -Xq -v ON_ERROR_STOP=1 -f src/test/scripts/demo.sql

mkdir -p demo
for group in group-1 group-2 group-3; do
	psql -XAtq -v ON_ERROR_STOP=1 -v file="$group.jpg" -f src/test/scripts/demo_draw.sql | base64 -d >"demo/$group.jpg"
done
say "the same as pictures, with boxes and names: $(ls demo/*.jpg | tr '\n' ' ')"
