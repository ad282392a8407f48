#!/bin/bash
# Pages of an index are damaged while the server is down, without checksums:
# fields that lead from page to page, lengths, kinds, whole pages, single bits.
# Then nothing may crash or hang; a query answers as a sequential scan does, or
# with an error that says what is wrong, and facerec_index_check finds whatever
# made an answer wrong.  FACEREC_DAMAGES random cases (48) beside the chosen
# ones; FACEREC_CASES runs only those that it names.
set -eu
. sql_tests/recovery/index_cluster.sh
random_cases=${FACEREC_DAMAGES:-48}
seed=${FACEREC_SEED:-20260101}
echo "# FACEREC_SEED=$seed"
limit $((600 + 20 * random_cases))
chosen=(next_self next_first next_beyond next_invalid rerank_self rerank_twice rerank_other rerank_beyond rerank_lost
	live_less live_more lower_zero lower_full lower_odd kind_free kind_rerank kind_meta list generation retired closed
	zero_code zero_rerank zero_routing swap_code truncate hint_routing hint_beyond first_rerank first_beyond first_meta centroid
	meta_magic meta_format meta_dims meta_padded meta_block meta_filters meta_lists meta_routing meta_generation
	meta_fractions tid_beyond tid_invalid live_bit filter garbage_meta garbage_routing garbage_code garbage_rerank map)
# Harmless by themselves, or nothing that the index knows.
silent=" closed meta_fractions map "

create data
options="-c autovacuum=off -c statement_timeout=20s"
start data 5432 "$options"
sql 5432 -c "$faces_sql" >/dev/null
sql 5432 >/dev/null <<'SQL'
SELECT setseed(0.5);
SELECT add_faces(1200, 300);
-- what several queries deliver
CREATE FUNCTION answer(name text, by_index boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; part text;
BEGIN
	PERFORM set_config('enable_seqscan', (NOT by_index)::text, true), set_config('enable_sort', (NOT by_index)::text, true),
		set_config('enable_indexscan', by_index::text, true), set_config('plan_cache_mode', 'force_custom_plan', true);
	EXECUTE format('SELECT string_agg(a, E''\n'') FROM generate_series(1, 60, 6) p, LATERAL (SELECT array_agg(d)::text AS a FROM
		(SELECT embedding <=> face(p, 0) AS d FROM %I ORDER BY embedding <=> face(p, 0) LIMIT 15) f) q', name) INTO result;
	EXECUTE format('SELECT array_agg(d)::text FROM (SELECT embedding <=> face(7, 0) AS d FROM %I WHERE person = 7 ORDER BY 1) f', name) INTO part;
	result := result || E'\n' || coalesce(part, '');
	EXECUTE format('SELECT count(*) FROM (SELECT FROM %I ORDER BY embedding <=> (SELECT face(9, 0))) f', name) INTO part;
	result := result || E'\n' || part;
	EXECUTE format('SELECT count(*) FROM (SELECT FROM %I ORDER BY embedding <=> (SELECT NULL::faceembedding OFFSET 0)) f', name) INTO part;
	RETURN result || E'\n' || part;
END $$;
-- empty, or what went wrong
CREATE FUNCTION attempt(command text, OUT result text) LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
	EXECUTE command INTO result;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	result := SQLSTATE || ' ' || SQLERRM || ': ' || detail;
END $$;
SQL

cases=("${chosen[@]}")
[ -z "${FACEREC_CASES-}" ] || { cases=($FACEREC_CASES); random_cases=0; }
for i in $(seq "$random_cases"); do cases+=("$(echo bit_meta bit_routing bit_special bit_header bit_links bit_code bit_rerank bit_any | cut -d' ' -f$((i % 8 + 1)))"); done
for i in "${!cases[@]}"; do
	echo "CREATE TABLE damaged_$i AS TABLE face; CREATE INDEX damaged_${i}_face ON damaged_$i USING faceindex (embedding, person) WITH (lists = 3);"
	# rows that came later, and free pages
	echo "INSERT INTO damaged_$i SELECT id + 5000, person, face(person, id::int) FROM damaged_$i WHERE id <= 300; DELETE FROM damaged_$i WHERE id <= 900; VACUUM (INDEX_CLEANUP on) damaged_$i;"
done | sql 5432 >/dev/null
sql 5432 -c "CHECKPOINT" >/dev/null
is "$(sql 5432 -c "SELECT count(*) FROM facerec_index_check('damaged_0_face', true)")" 0 'the index is sound before'
right=$(sql 5432 -c "SELECT answer('damaged_0', false)")
is "$(sql 5432 -c "SELECT answer('damaged_0', true)")" "$right" 'and answers as a sequential scan does'
files=$(sql 5432 -c "SELECT pg_relation_filepath('damaged_' || i || '_face') FROM generate_series(0, ${#cases[@]} - 1) i")
"$bin/pg_ctl" -D "$dir/data" -m fast stop >/dev/null

cat >"$dir/damage.pl" <<'PERL'
# damage.pl SEED CASE FILE: offsets as in src/index/README
use strict;
my ($seed, $case, $file) = @ARGV;
srand($seed);
open(my $f, '+<:raw', $file) or die "$file: $!";
local $/;
my $all = <$f>;
my $count = length($all) / 8192;
my %of; # kind -> blocks
for my $b (0 .. $count - 1) { push @{$of{unpack('v', substr($all, $b * 8192 + 8184, 2))}}, $b; }
my ($routing) = grep { 1 } @{$of{3}};
sub get { my ($b, $o) = @_; return unpack('V', substr($all, $b * 8192 + $o, 4)); }
sub put { my ($b, $o, $bytes) = @_; substr($all, $b * 8192 + $o, length $bytes) = $bytes; }
sub any { my ($list) = @_; return $list->[rand @$list]; }
# what a library that lays out pages in another way would have written
sub identity { my $h = 2166136261; $h = (($h ^ $_) * 16777619) % 2 ** 32 for unpack('C*', substr($all, 24, 32) . substr($all, 76, 4)); put(0, 128, pack 'V', $h); }
sub flip { my ($b, $from, $to) = @_; my $at = $b * 8192 + $from + int rand($to - $from); substr($all, $at, 1) ^= chr(1 << int rand 8); }
my $first = get($routing, 24); # first page of list 0: its chain has several
my $next = get($first, 24);
my ($code, $rerank) = ($first, get($first, 32));
my $invalid = "\xff" x 4;
my $lower = unpack('v', substr($all, $code * 8192 + 12, 2));
my %do = (
	next_self => sub { put($code, 24, pack 'V', $code) }, next_first => sub { put($next, 24, pack 'V', $first) },
	next_beyond => sub { put($code, 24, pack 'V', 1e6) }, next_invalid => sub { put($code, 24, $invalid) },
	rerank_self => sub { put($code, 32, pack 'V', $code) }, rerank_twice => sub { put($code, 36, pack 'V', $rerank) },
	rerank_other => sub { put($code, 32, pack 'V', get($next, 32)) }, rerank_beyond => sub { put($code, 32, pack 'V', 1e6) },
	rerank_lost => sub { put($code, 32, $invalid) },
	live_less => sub { put($code, 28, pack 'v', 1) }, live_more => sub { put($code, 28, pack 'v', 60000) },
	lower_zero => sub { put($code, 12, pack 'v', 24) }, lower_full => sub { put($code, 12, pack 'v', 8168) },
	lower_odd => sub { put($code, 12, pack 'v', $lower - 1) },
	kind_free => sub { put($rerank, 8184, pack 'v', 1) }, kind_rerank => sub { put($code, 8184, pack 'v', 5) },
	kind_meta => sub { put($code, 8184, pack 'v', 2) }, list => sub { put($code, 8176, pack 'V', 2) },
	generation => sub { put($code, 8180, pack 'V', 77) }, retired => sub { put($code, 8168, pack 'V', 3) },
	closed => sub { put($code, 8186, pack 'v', 1) },
	zero_code => sub { put($code, 0, "\0" x 8192) }, zero_rerank => sub { put($rerank, 0, "\0" x 8192) },
	zero_routing => sub { put($routing, 0, "\0" x 8192) },
	swap_code => sub { my ($a, $b) = (substr($all, $code * 8192, 8192), substr($all, $next * 8192, 8192)); put($code, 0, $b); put($next, 0, $a) },
	truncate => sub { substr($all, -8192 * int($count / 2)) = '' },
	hint_routing => sub { put($routing, 28, pack 'V', $routing) }, hint_beyond => sub { put($routing, 28, pack 'V', 1e6) },
	first_rerank => sub { put($routing, 24, pack 'V', $rerank) }, first_beyond => sub { put($routing, 24, pack 'V', 1e6) },
	first_meta => sub { put($routing, 24, pack 'V', 0) },
	centroid => sub { put($routing, 40, pack 'f', 1e30) },
	meta_magic => sub { put(0, 24, 'abcd') }, meta_format => sub { put(0, 28, pack 'v', 99) }, meta_dims => sub { put(0, 30, pack 'v', 65) },
	meta_padded => sub { put(0, 36, pack 'v', 576); identity() }, meta_block => sub { put(0, 76, pack 'v', 2500); identity() },
	meta_filters => sub { put(0, 38, pack 'v', 9) }, meta_lists => sub { put(0, 56, pack 'V', 60000) },
	meta_routing => sub { put(0, 60, pack 'V', $code) }, meta_generation => sub { put(0, 72, pack 'V', 0) },
	meta_fractions => sub { put(0, 88, "\xff" x 40) },
	tid_beyond => sub { put($code, 36 + 4 * 2 + 32 * 64 + 3 * 64, "\x00\x7f\x00\x00\x01\x00") },
	tid_invalid => sub { put($code, 36 + 4 * 2 + 32 * 64 + 3 * 64, "\xff" x 6) },
	live_bit => sub { flip($code, 44 + 32 * 64 + 3 * 64 + 32 * 6, 44 + 32 * 64 + 3 * 64 + 32 * 6 + 4) },
	filter => sub { put($code, 44 + 32 * 64 + 3 * 64 + 32 * 6 + 8, "\x11" x 16) },
	map => sub { 1 },
	bit_meta => sub { flip(0, 0, 128) }, bit_routing => sub { flip($routing, 0, 600) }, bit_special => sub { flip(any([1 .. $count - 1]), 8168, 8192) },
	bit_header => sub { flip(any($of{4}), 0, 24) }, bit_links => sub { flip(any($of{4}), 24, 44) },
	bit_code => sub { flip(any($of{4}), 44, 2600) }, bit_rerank => sub { flip(any($of{5}), 24, 8100) }, bit_any => sub { flip(int rand $count, 0, 8192) },
);
for my $part (['meta', 0], ['routing', $routing], ['code', $code], ['rerank', $rerank]) {
	my ($name, $b) = @$part;
	$do{"garbage_$name"} = sub { put($b, 24 + int rand 100, join '', map { chr rand 256 } 1 .. 64) };
}
($do{$case} or die "no case $case")->();
seek $f, 0, 0; print $f $all; truncate $f, length $all; close $f;
if ($case eq 'map') { # of free space: every page has room
	open(my $m, '+<:raw', $file . '_fsm') or exit; my $map = <$m>;
	substr($map, $_, 1) |= "\xff" for grep { $_ % 8192 >= 28 } 0 .. length($map) - 1;
	seek $m, 0, 0; print $m $map;
}
PERL
i=0
for file in $files; do
	perl "$dir/damage.pl" $((seed + i)) "${cases[$i]}" "$dir/data/$file"
	i=$((i + 1))
done
start data 5432 "$options"

# What may be said: damaged (XX002), by the index or of a page's header (XX001),
# or made by another version (0A000).
allowed='^(XX00[12] |0A000 .* made by another version)'
for i in "${!cases[@]}"; do
	t=damaged_$i what=${cases[$i]} faults=""
	found=$(sql 5432 -c "SELECT attempt(\$\$SELECT nullif(count(*), 0) || ' problems: ' || min(problem) FROM facerec_index_check('${t}_face', true)\$\$)" 2>&1) || faults+=" check: $found"
	got=$(sql 5432 -c "SELECT attempt(\$\$SELECT answer('$t', true)\$\$)" 2>&1) || faults+=" query: $got"
	if [ "$got" != "$right" ] && ! [[ $got =~ $allowed ]] && [ -z "$found" ]; then faults+=" a wrong answer, and no problem found: ${got:0:200}"; fi
	if [ -n "$found" ] && ! [[ $found =~ $allowed ]] && ! [[ $found =~ ^[0-9]+\ problems ]]; then faults+=" check: $found"; fi
	if [[ $got =~ ^[0-9A-Z]{5}\  ]] && ! [[ $got =~ $allowed ]]; then faults+=" query: $got"; fi
	if [[ ${what%%_*} != bit && $silent != *" $what "* && -z $found ]]; then faults+=" check finds nothing"; fi
	for command in "INSERT INTO $t SELECT id + 9000, person, face(person, id::int + 1) FROM face WHERE id <= 400" "DELETE FROM $t WHERE id % 3 = 0" \
		"VACUUM (INDEX_CLEANUP on) $t" "INSERT INTO $t SELECT id + 19000, person, face(person, id::int + 2) FROM face WHERE id <= 400" "VACUUM $t" "SELECT answer('$t', true)"; do
		said=$(psql -p 5432 -v VERBOSITY=verbose -c "$command" 2>&1 >/dev/null | grep -E '^(ERROR|FATAL|PANIC|server|connection)' | head -n 1 | sed 's/^ERROR: *//; s/: / /') || true
		[ -z "$said" ] || [[ $said =~ $allowed ]] || faults+=" ${command:0:20}: $said"
	done
	is "$faults" '' "$i $what: ${found:0:150}"
done
is "$(grep -hE 'PANIC|TRAP|signal|was terminated|could not read block' "$dir/data.log" | head -n 5)" '' 'the server has not crashed'
echo "1..$n"
