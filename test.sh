#!/bin/sh
# Install what is missing, build, and run every test on a private cluster.
#
# usage: ./test.sh        (as root, or as a user with sudo)
# FACEREC_TESTDATA may name a folder with other networks and photos (default
# ../shared); the further tests that need it are skipped when it is absent.
cd "$(dirname "$0")" || exit 1
. src/test/scripts/setup.sh

passed=0 failed=0 skipped=0 failures=
step() { # step NAME COMMAND...: run, count, go on
	name=$1
	shift
	say "$name"
	if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) failures="$failures; $name"; fi
}

# The SQL-level tests run in a copy of the tree that belongs to the cluster's
# owner, so that they never depend on what root may read.
stage_tree() {
	mkdir "$work/tree"
	tar -cf - --exclude=./.git --exclude=./build --exclude='*.o' --exclude=./demo . | tar -xf - -C "$work/tree"
	mkdir -p "$work/tree/build/tools"
	if [ -d build/tools ]; then cp -p build/tools/* "$work/tree/build/tools/"; fi
	if is_root; then chown -R postgres "$work/tree"; fi
}
in_tree() { # in_tree ISA TARGET...: make targets there, as the owner
	isa=$1
	shift
	(
		cd "$work/tree"
		# The extension is built and installed already: PGXS would rebuild it.
		as_owner env PATH="$PATH" PGHOST="$PGHOST" PGUSER="$PGUSER" PGDATABASE="$PGDATABASE" PGPORT="$PGPORT" \
			FACEREC_TESTDATA="$FACEREC_TESTDATA" PGOPTIONS="-c facerec.isa=$isa -c statement_timeout=600s" \
			make -s PG_CONFIG="$PG_CONFIG" "$@" || { show_diffs; exit 1; }
	)
}
show_diffs() {
	if [ -s build/regress/regression.diffs ]; then head -n 300 build/regress/regression.diffs; fi
}
recovery() {
	(
		cd "$work/tree"
		as_owner env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE PATH="$PATH" FACEREC_TESTDATA="$FACEREC_TESTDATA" PGBIN="$pgbin" \
			prove --exec bash sql_tests/recovery/[0-9]*.sh
	)
}

prepare perl libtap-parser-sourcehandler-pgtap-perl "postgresql-$(postgres_version)-pgtap" clang-format libasan8 libubsan1
testdata_folder=${FACEREC_TESTDATA:-../shared}
FACEREC_TESTDATA=$(find_testdata)
export FACEREC_TESTDATA
if [ -z "$FACEREC_TESTDATA" ]; then
	say "no further networks and photos in $testdata_folder (FACEREC_TESTDATA names another folder): the tests that need them are skipped"
	FACEREC_TESTDATA=/nonexistent skipped=1
else
	echo "test data: $FACEREC_TESTDATA"
fi

step "layers" make -s check-layers
step "format" make -s check-format
step "build of unit tests" make -s -j"$(nproc)" unit-programs tools
step "unit tests, sanitizers" make -s check-unit
step "unit tests, optimised, all golden data" make -s check-native

start_cluster
stage_tree
step "regression tests" in_tree auto installcheck
isas=$(psql -XAtqc "CREATE EXTENSION facerec" -c "SELECT facerec_cpu()" -c "DROP EXTENSION facerec")
for isa in generic avx2; do
	if psql -XAtq -v ON_ERROR_STOP=1 -c "LOAD 'facerec'" -c "SET facerec.isa = $isa" >/dev/null 2>&1; then
		step "regression tests, facerec.isa = $isa" in_tree $isa installcheck
	fi
done
step "pgTAP tests" in_tree auto check-pgtap
step "recovery tests" recovery

echo
echo "processor: $isas"
if [ $failed -gt 0 ]; then echo "failed:${failures#;}"; fi
echo "test.sh: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
