-- The type faceembedding: text and binary form, type modifier, casts,
-- storage.  What is stored survives every copy to the last bit.

-- normalised on input; the model is eight hexadecimal digits
SELECT '[3,4]'::faceembedding;
SELECT 'MODEL=1f3c9a7e;[3,4]'::faceembedding;
SELECT ' model=1F3C9A7E ; [ 3 , +4.0e0 ] '::faceembedding;
SELECT 'MODEL=00000000;[1]'::faceembedding AS unknown;
SELECT '[0,-0,0,-0.5]'::faceembedding AS no_negative_zeros;
SELECT '[1e-30,1e30]'::faceembedding AS rounded, '[1e-8,1]'::faceembedding,
	'[-1e-40]'::faceembedding AS tiny, '[3.4e38,3.4e38]'::faceembedding AS huge;

-- a vector that is one already keeps its values
SELECT '[0.6,0.8]'::faceembedding, '[0.6003,0.8]'::faceembedding AS rounding,
	'[0.61,0.81]'::faceembedding AS not_rounding;

-- what a value says about itself
SELECT face_dims('[1,2,3]'), face_model('[1,2,3]') AS unknown,
	face_model('MODEL=0badf00d;[1]') LIKE '%0badf00d' AS known;
SELECT pg_column_size(('[' || array_to_string(array_fill(1, ARRAY[512]), ',') || ']')::faceembedding) AS bytes;

-- wrong text
SELECT ''::faceembedding;
SELECT '1,2'::faceembedding;
SELECT '[1,2'::faceembedding;
SELECT '[1,2]x'::faceembedding;
SELECT '[1,,2]'::faceembedding;
SELECT '[1,two]'::faceembedding;
SELECT 'SRID=1f3c9a7e;[1]'::faceembedding;
SELECT 'MODEL=1f3c;[1]'::faceembedding;
SELECT 'MODEL=1f3c9a7g;[1]'::faceembedding;
SELECT 'MODEL=1f3c9a7e[1]'::faceembedding;
SELECT ('[' || repeat('é', 100))::faceembedding;

-- wrong values
SELECT '[]'::faceembedding;
SELECT '[0,0]'::faceembedding;
SELECT '[1e-60]'::faceembedding;
SELECT '[1,NaN]'::faceembedding;
SELECT '[1,-Infinity]'::faceembedding;
SELECT '[1e39]'::faceembedding;
SELECT ('[' || repeat('1,', 4096) || '1]')::faceembedding;
SELECT face_dims(('[' || repeat('1,', 4095) || '1]')::faceembedding);

\set VERBOSITY sqlstate
SELECT '[1,two]'::faceembedding;
SELECT '[]'::faceembedding;
SELECT '[0]'::faceembedding;
SELECT '[nan]'::faceembedding;
SELECT '[1e39]'::faceembedding;
SELECT ('[' || repeat('1,', 4096) || '1]')::faceembedding;
\set VERBOSITY default

-- type modifier: the number of dimensions
SELECT '[1,2,3]'::faceembedding(3);
SELECT '[1,2,3]'::faceembedding(2);
SELECT '[1]'::faceembedding(0);
SELECT '[1]'::faceembedding(4097);
SELECT '[1]'::faceembedding(1, 2);
CREATE TABLE typmod (e faceembedding(3));
\d typmod
INSERT INTO typmod VALUES ('[1,2,3]');
INSERT INTO typmod VALUES ('[1,2,3]'::faceembedding);
INSERT INTO typmod VALUES ('[1,2]'::faceembedding);
ALTER TABLE typmod ALTER e TYPE faceembedding(2);
ALTER TABLE typmod ALTER e TYPE faceembedding;
INSERT INTO typmod VALUES ('[1,2]'), (NULL);
SELECT count(*), count(e) FROM typmod;
DROP TABLE typmod;

-- casts: to real[] on assignment, none from arrays
SELECT '[0.6,-0.8]'::faceembedding::real[];
CREATE TABLE arrays (a real[]);
INSERT INTO arrays VALUES ('[0.6,-0.8]'::faceembedding);
SELECT array_dims(a), round(a[1]::numeric, 3) AS x FROM arrays;
DROP TABLE arrays;
SELECT '{1,2}'::real[]::faceembedding;
SELECT array_length('[0.6,-0.8]'::faceembedding, 1);

-- binary form
SELECT faceembedding_send('MODEL=1f3c9a7e;[1,0]');
CREATE TABLE original (id int, e faceembedding, few faceembedding(3));
INSERT INTO original
SELECT i, (format('MODEL=%s;[', lpad(to_hex(i * 7919), 8, '0')) ||
		   string_agg((sin(i * 131.7 + d * d * 0.37) * exp(sin(d) * 6))::text, ',') || ']')::faceembedding,
	format('[%s,%s,%s]', i, sin(i), i * 1e-7)::faceembedding
FROM generate_series(1, 40) i,
	generate_series(1, CASE WHEN i < 10 THEN i WHEN i < 39 THEN 512 ELSE 4096 END) d
GROUP BY i;
CREATE TABLE copied (LIKE original);
\copy original TO PROGRAM 'cat > "${PG_ABS_BUILDDIR:-build/regress}/results/embedding_type.copy"' (FORMAT binary)
\copy copied FROM PROGRAM 'cat "${PG_ABS_BUILDDIR:-build/regress}/results/embedding_type.copy"' (FORMAT binary)
SELECT count(*) AS differences_binary FROM original o JOIN copied c USING (id)
WHERE faceembedding_send(o.e) <> faceembedding_send(c.e) OR o.e <> c.e OR o.few <> c.few;
TRUNCATE copied;
\copy original TO PROGRAM 'cat > "${PG_ABS_BUILDDIR:-build/regress}/results/embedding_type.copy"'
\copy copied FROM PROGRAM 'cat "${PG_ABS_BUILDDIR:-build/regress}/results/embedding_type.copy"; rm "${PG_ABS_BUILDDIR:-build/regress}/results/embedding_type.copy"'
SELECT count(*) AS rows_text, count(*) FILTER (WHERE o.e = c.e AND o.few = c.few) AS equal,
	count(*) FILTER (WHERE o.e <=> c.e = 0) AS at_distance_0,
	count(*) FILTER (WHERE hashtext(o.e::text) = hashtext(c.e::text)) AS same_text
FROM original o JOIN copied c USING (id);
TRUNCATE copied;
INSERT INTO copied SELECT id, e::text::faceembedding, few::text::faceembedding FROM original;
SELECT count(*) AS differences_cast FROM original o JOIN copied c USING (id)
WHERE faceembedding_send(o.e) <> faceembedding_send(c.e) OR faceembedding_send(o.few) <> faceembedding_send(c.few);
DROP TABLE copied;

-- wrong binary data, in a COPY of one row and one column: signature, flags,
-- extension, the number of fields, one length, its bytes, the end
CREATE TABLE received (e faceembedding);
CREATE FUNCTION pg_temp.receive(field bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	bytes bytea := '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0) ||
		int2send(1::int2) || int4send(length(field)) || field || int2send((-1)::int2);
BEGIN
	EXECUTE format('COPY received FROM PROGRAM %L (FORMAT binary)',
		format('echo %s | base64 -d', replace(encode(bytes, 'base64'), E'\n', '')));
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' / ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;
SELECT what, pg_temp.receive(field) FROM (VALUES
	(1, 'good', '\x010000021f3c9a7e3c000000'::bytea),
	(2, 'version', '\x020000021f3c9a7e3c000000'),
	(3, 'flags', '\x010100021f3c9a7e3c000000'),
	(4, 'no dimension', '\x010000001f3c9a7e'),
	(5, 'too many', '\x010010011f3c9a7e3c000000'),
	(6, 'cut off', '\x010000021f3c9a7e3c00'),
	(7, 'too long', '\x010000021f3c9a7e3c00000000'),
	(8, 'empty', '\x'),
	(9, 'infinity', '\x010000021f3c9a7e7c000000'),
	(10, 'NaN', '\x010000021f3c9a7e7e000000'),
	(11, 'zeros', '\x010000021f3c9a7e00000000'),
	(12, 'negative zero', '\x010000021f3c9a7e3c008000'),
	(13, 'not of norm 1', '\x010000021f3c9a7e3c003c00')) AS fields (no, what, field)
ORDER BY no;
SELECT * FROM received;
DROP TABLE received;

-- storage: 512 dimensions stay in the row, also beside a large column and in
-- pairs; the largest vectors move out of it
CREATE TABLE inline (id int, photo bytea, name text, a faceembedding(512), b faceembedding(512));
ALTER TABLE inline ALTER photo SET STORAGE EXTERNAL;
INSERT INTO inline
SELECT i, repeat('x', 3000)::bytea, 'name of a person', o.e, o.e
FROM generate_series(1, 50) i, original o WHERE o.id = 20;
CREATE TABLE without_photo AS SELECT id, name, a, b FROM inline;
SELECT pg_column_size(a) AS bytes, count(*) FROM without_photo GROUP BY 1;
SELECT relname, pg_relation_size(reltoastrelid) AS toast_bytes
FROM pg_class WHERE relname = 'without_photo';
SELECT pg_relation_size('inline') / pg_relation_size('without_photo') AS same_size
FROM pg_class WHERE relname = 'inline';
CREATE TABLE largest (e faceembedding);
INSERT INTO largest SELECT e FROM original WHERE face_dims(e) = 4096;
SELECT count(*) AS equal FROM largest l JOIN original o ON l.e = o.e AND l.e <=> o.e = 0;
SELECT pg_relation_size(reltoastrelid) > 0 AS has_toast FROM pg_class WHERE relname = 'largest';
DROP TABLE inline, without_photo, largest, original;
