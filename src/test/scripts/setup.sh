# setup.sh: what test.sh and demo.sh share; sourced, not run.
#
# Installs what is missing (Debian packages), builds, installs the extension
# and runs a private throw-away cluster on a socket of its own, as a user who
# is not root even when the caller is.  Everything temporary lives in $work,
# which finish() removes after it has stopped the server.

set -eu
root=$(pwd)
work=
pgbin=

say() { printf '\n== %s\n' "$*"; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

is_root() { [ "$(id -u)" = 0 ]; }
as_root() { if is_root; then "$@"; else sudo "$@"; fi; }

# Run a command as the user who owns the cluster: the caller, or postgres
# when the caller is root (initdb and postgres refuse to run as root).
as_owner() {
	if is_root; then runuser -u postgres -- "$@"; else "$@"; fi
}

is_installed() {
	dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# The PostgreSQL to build against: PG_CONFIG if set, else the newest server
# development package installed, else the release's default.
postgres_version() {
	if [ -n "${PG_CONFIG:-}" ]; then
		"$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'
		return
	fi
	found=$(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | cut -d/ -f5 | sort -n | tail -n 1)
	if [ -z "$found" ]; then
		found=$(apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
	fi
	echo "${found:-15}"
}

missing_packages() {
	for package in "$@"; do
		is_installed "$package" || printf '%s ' "$package"
	done
}

# Put the configuration back that install_quietly changed, also when it was
# interrupted.
restore_cluster_conf() {
	if [ -f "$work/createcluster.conf" ]; then
		as_root cp -p "$work/createcluster.conf" /etc/postgresql-common/createcluster.conf
		rm -f "$work/createcluster.conf"
	fi
}

# Installing the server must not create or start a cluster of its own.
install_quietly() {
	conf=/etc/postgresql-common/createcluster.conf
	is_installed postgresql-common ||
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-common >"$work/apt.log" 2>&1 ||
		{ cat "$work/apt.log"; fail "could not install postgresql-common"; }
	as_root cp -p "$conf" "$work/createcluster.conf"
	echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
	result=0
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$work/apt.log" 2>&1 || result=$?
	restore_cluster_conf
	[ $result = 0 ] || { tail -n 30 "$work/apt.log"; fail "could not install: $*"; }
}

# prepare PACKAGE...: a work folder, the packages, the build, the extension.
prepare() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/facerec.XXXXXX")
	chmod 755 "$work"
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM

	[ -e /etc/debian_version ] || fail "this script installs Debian packages; see README.md for a build by hand"
	if ! command -v apt-cache >/dev/null; then fail "apt is needed"; fi
	if [ -z "$(ls /usr/lib/postgresql/*/bin/pg_config 2>/dev/null)" ] && ! apt-cache show postgresql >/dev/null 2>&1; then
		as_root apt-get update -qq || fail "apt-get update failed"
	fi
	version=$(postgres_version)
	wanted=$(missing_packages gcc make libc6-dev libjpeg62-turbo-dev libpng-dev libopenblas0-pthread \
		"postgresql-$version" "postgresql-server-dev-$version" "postgresql-client-$version" "$@")
	if [ -n "$wanted" ]; then
		say "installing: $wanted"
		as_root apt-get update -qq || fail "apt-get update failed"
		# shellcheck disable=SC2086
		install_quietly $wanted
	fi
	PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/$version/bin/pg_config}
	export PG_CONFIG
	pgbin=$("$PG_CONFIG" --bindir)
	PATH=$pgbin:$PATH

	say "building against $("$PG_CONFIG" --version)"
	make -s -j"$(nproc)" PG_CONFIG="$PG_CONFIG"
	as_root make -s install PG_CONFIG="$PG_CONFIG" >/dev/null
}

# A private cluster: no TCP, socket in $work, superuser "postgres".
start_cluster() {
	mkdir -p "$work/run"
	if is_root; then chown postgres "$work/run"; fi
	as_owner "$pgbin/initdb" -D "$work/run/data" -U postgres -A trust -E UTF8 --locale=C -N >"$work/initdb.log" ||
		{ cat "$work/initdb.log"; fail "initdb failed"; }
	as_owner "$pgbin/pg_ctl" -s -w -D "$work/run/data" -l "$work/run/log" \
		-o "-k $work/run -c listen_addresses= -c fsync=off -c max_worker_processes=8" start ||
		{ cat "$work/run/log"; fail "the server did not start"; }
	export PGHOST="$work/run" PGUSER=postgres PGDATABASE=postgres PGPORT=5432
	unset PGOPTIONS PGSERVICE PGPASSFILE || true
}

finish() {
	status=$?
	trap - EXIT
	if [ -n "$work" ]; then
		restore_cluster_conf
		if [ -f "$work/run/data/postmaster.pid" ]; then
			as_owner "$pgbin/pg_ctl" -s -D "$work/run/data" -m immediate stop || true
		fi
		rm -rf "$work" 2>/dev/null || as_root rm -rf "$work"
	fi
	exit $status
}

# The folder with further networks and photos, as an absolute path that the
# cluster's owner can read; empty when there is none.
find_testdata() {
	folder=${FACEREC_TESTDATA:-$root/../shared}
	[ -d "$folder/models" ] || return 0
	folder=$(cd "$folder" && pwd)
	if as_owner test -r "$folder/models/README.md" 2>/dev/null || as_owner test -x "$folder/models" 2>/dev/null; then
		echo "$folder"
		return 0
	fi
	mkdir -p "$work/testdata"
	for part in models photos portraits; do
		[ ! -d "$folder/$part" ] || cp -rL "$folder/$part" "$work/testdata/"
	done
	chmod -R a+rX "$work/testdata"
	echo "$work/testdata"
}
