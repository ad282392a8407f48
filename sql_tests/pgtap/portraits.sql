-- From photo to person with the extension's own networks and portraits of
-- invented people: detection, landmarks, identification, verification.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
BEGIN;
SELECT plan(29);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data/portraits && for f in *.jpg *.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE photo AS SELECT name, decode(base64, 'base64') AS data FROM input;
CREATE TEMP TABLE listed (name text, person text, x float8, y float8, eye_distance float8);
\copy listed FROM PROGRAM 'tail -n +2 sql_tests/data/portraits/groups.tsv'
CREATE TEMP TABLE found AS SELECT name, e.* FROM photo, face_embed_all(data) e;

-- ---- detection -------------------------------------------------------------
SELECT is_empty($$SELECT p.name, count(f) FROM photo p LEFT JOIN found f USING (name) WHERE p.name ~ '^([0-9]|variant)' GROUP BY 1 HAVING count(f) <> 1$$, 'every portrait shows one face');
SELECT is_empty($$SELECT name FROM found WHERE name ~ '^noface'$$, 'a landscape shows none');
SELECT set_eq($$SELECT name, count(*) FROM found WHERE name ~ '^group' GROUP BY 1$$, $$SELECT name, count(*) FROM listed GROUP BY 1$$, 'a group shows as many as there are');
SELECT is_empty($$SELECT l.* FROM listed l WHERE (SELECT count(*) FROM found f WHERE f.name = l.name AND f.box @> point(l.x, l.y)) <> 1$$, 'each in its place');
SELECT ok(bool_and(box @> l), 'landmarks lie in their box') FROM found, unnest(landmarks) l;
SELECT cmp_ok(max(abs((landmarks[1] <-> landmarks[2]) / eye_distance - 1)), '<', 0.25::float8, 'eyes are as far apart as they should, worst ' || round(max(abs((landmarks[1] <-> landmarks[2]) / eye_distance - 1))::numeric, 3))
FROM listed l JOIN found f ON f.name = l.name AND f.box @> point(l.x, l.y);
SELECT ok(bool_and((landmarks[1])[0] < (landmarks[2])[0] AND (landmarks[4])[0] < (landmarks[5])[0] AND (landmarks[1])[1] < (landmarks[3])[1] AND (landmarks[3])[1] < (landmarks[4])[1]), 'left is left, up is up') FROM found;
SELECT cmp_ok(min(score), '>', 0.65::real, 'scores are clearly above the threshold of 0.6, least ' || round(min(score)::numeric, 3)) FROM found;
SELECT cmp_ok(min(quality), '>', 50::real, 'so clear faces have a good quality, least ' || round(min(quality))) FROM found;
SELECT results_eq('SELECT name, face_no, score, box::text FROM found ORDER BY 1, 2', 'SELECT name, d.face_no, d.score, d.box::text FROM photo, face_detect(data, ''facerec-detector'') d ORDER BY 1, 2', 'face_detect finds the same');

-- ---- identification --------------------------------------------------------
CREATE TEMP TABLE face AS SELECT name, split_part(name, '-', 2) AS person, embedding FROM found WHERE name ~ '^[0-9]';
SELECT results_eq($$SELECT name, face_embed(data) FROM photo WHERE name ~ '-1\.jpg' ORDER BY 1$$, $$SELECT p.name, face_embed(data, 'facerec-embedder') FROM photo p WHERE name ~ '-1\.jpg' ORDER BY 1$$, 'by settings or by name');
SELECT is_empty($$SELECT a.name, n.name FROM face a, LATERAL (SELECT b.* FROM face b WHERE b.name <> a.name ORDER BY b.embedding <=> a.embedding LIMIT 1) n WHERE a.person <> n.person$$, 'rank one, leaving one out: all right');
SELECT is_empty($$SELECT a.name, n.person FROM face a, LATERAL (SELECT b.person FROM face b WHERE b.name <> a.name GROUP BY 1 ORDER BY avg(b.embedding) <=> a.embedding LIMIT 1) n WHERE a.person <> n.person$$, 'with templates of four, too');
SELECT is_empty($$SELECT l.name, l.person, n.person FROM listed l JOIN found f ON f.name = l.name AND f.box @> point(l.x, l.y),
	LATERAL (SELECT b.person FROM face b ORDER BY b.embedding <=> f.embedding LIMIT 1) n WHERE n.person <> l.person$$, 'everybody in the group pictures is known');
-- whoever is not enrolled is farther away than whoever is
SELECT cmp_ok(count(*)::int, '<=', 1, 'people who are not enrolled are farther away than their own pictures')
FROM face a WHERE (SELECT min(b.embedding <=> a.embedding) FROM face b WHERE b.person <> a.person) <= (SELECT min(b.embedding <=> a.embedding) FROM face b WHERE b.person = a.person AND b.name <> a.name);

-- ---- verification ----------------------------------------------------------
CREATE TEMP TABLE pair AS SELECT a.person = b.person AS mated, a.embedding <=> b.embedding AS distance FROM face a JOIN face b ON a.name < b.name;
SELECT cmp_ok(max(distance) FILTER (WHERE mated), '<', 0.6::float8, 'pictures of one person: at most ' || round(max(distance) FILTER (WHERE mated)::numeric, 3)) FROM pair;
SELECT cmp_ok(avg(distance) FILTER (WHERE NOT mated) - avg(distance) FILTER (WHERE mated), '>', 0.4::float8,
	'means: ' || round(avg(distance) FILTER (WHERE mated)::numeric, 3) || ' and ' || round(avg(distance) FILTER (WHERE NOT mated)::numeric, 3)) FROM pair;
SELECT cmp_ok(count(*) FILTER (WHERE distance <= most)::float8 / count(*), '<', 0.01::float8, 'pictures of two people are hardly ever as near')
FROM pair, (SELECT max(distance) AS most FROM pair WHERE mated) m WHERE NOT mated;
SELECT cmp_ok(max(v.embedding <=> f.embedding), '<', 0.2::float8, 'turned, gray, small or large, a face stays the same, within ' || round(max(v.embedding <=> f.embedding)::numeric, 3))
FROM (VALUES ('variant-exif-rotated.jpg', '03-adenya-1.jpg'), ('variant-gray.jpg', '08-takemo-2.jpg'), ('variant-png.png', '07-linvara-2.jpg'), ('variant-large.jpg', '04-rurick-5.jpg')) o(variant, original)
JOIN found v ON v.name = variant JOIN face f ON f.name = original;
SELECT ok(bool_and(a.embedding % b.embedding), '% knows pictures of one person, at facerec.fmr') FROM face a JOIN face b USING (person);
SELECT cmp_ok(count(*) FILTER (WHERE a.embedding % b.embedding), '<=', 33::bigint, '% takes few of 1,650 pairs of two people for one: ' || count(*) FILTER (WHERE a.embedding % b.embedding))
FROM face a JOIN face b ON a.name < b.name AND a.person <> b.person;
SELECT results_eq($$SELECT a.name, b.name, same FROM photo a, photo b, face_verify(a.data, b.data) WHERE a.name ~ '^0[12]-.*-1' AND b.name ~ '^0[12]-.*-2' ORDER BY 1, 2$$,
	$$SELECT a.name, b.name, a.embedding % b.embedding FROM face a, face b WHERE a.name ~ '^0[12]-.*-1' AND b.name ~ '^0[12]-.*-2' ORDER BY 1, 2$$, 'face_verify says so of photos');
-- the picture that an embedder sees
SELECT cmp_ok(max(face_embed_aligned(face_align(data, landmarks)) <=> embedding), '<', 0.1::float8, 'an aligned crop embeds as its picture does, within ' || round(max(face_embed_aligned(face_align(data, landmarks)) <=> embedding)::numeric, 3))
FROM photo JOIN found USING (name) WHERE name ~ '-[12]\.jpg';
SELECT cmp_ok(max(face_embed(data, f.box) <=> embedding), '<', 0.05::float8, 'a face in its box is itself, within ' || round(max(face_embed(data, f.box) <=> embedding)::numeric, 4))
FROM photo JOIN found f USING (name) WHERE name ~ '^group';
-- ---- turned photos whose EXIF does not say so ------------------------------
-- an orientation in EXIF makes the decoder turn a picture that was upright
CREATE FUNCTION pg_temp.turned(jpeg bytea, orientation int) RETURNS bytea LANGUAGE sql AS $$
	SELECT substr(jpeg, 1, 2) || decode('ffe100224578696600004d4d002a00000008000101120003000000010' || lpad(orientation::text, 3, '0') || '000000000000', 'hex') || substr(jpeg, 3)
$$;
CREATE TEMP TABLE turned AS
SELECT name, split_part(name, '-', 2) AS person, angle, score, embedding,
	abs(mod((atan2d((landmarks[2] - landmarks[1])[1], (landmarks[2] - landmarks[1])[0]) - angle + 900)::numeric, 360) - 180) AS apart
FROM photo, (VALUES (3, 180), (6, 90), (8, 270)) o(orientation, angle), face_embed_all(pg_temp.turned(data, orientation))
WHERE name ~ '^[0-9].*-[35]\.jpg';
SELECT cmp_ok(count(DISTINCT name), '>=', 22::bigint, 'upside down faces are found: ' || count(DISTINCT name) || ' of 24') FROM turned WHERE angle = 180;
SELECT cmp_ok(count(*), '<=', 1::bigint, 'with landmarks that are upside down, but for ' || count(*)) FROM turned WHERE angle = 180 AND apart > 25;
SELECT cmp_ok(count(*), '<=', 3::bigint, 'on its side a face is found as it lies or not at all, but for ' || count(*)) FROM turned WHERE angle <> 180 AND apart > 25;
SELECT is_empty($$SELECT t.name, t.angle FROM turned t JOIN face f USING (name) WHERE t.apart <= 25 AND t.embedding <=> f.embedding > 0.2$$, 'and is the same as upright');
SELECT cmp_ok(count(*) FILTER (WHERE a.embedding % b.embedding), '<=', count(*) / 33, '% takes few turned faces of two people for one: ' || count(*) FILTER (WHERE a.embedding % b.embedding) || ' of ' || count(*))
FROM turned a JOIN turned b ON a.angle = b.angle AND a.name < b.name AND a.person <> b.person;
SELECT * FROM finish();
ROLLBACK;
