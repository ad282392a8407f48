-- Real pictures, the extension's own networks, nothing else: 12 invented
-- people with 5 portraits each, 3 group pictures, landscapes, odd formats.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data/portraits && for f in *.jpg *.png; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE photo AS SELECT name, decode(base64, 'base64') AS data FROM input;
-- where the people of the group pictures are
CREATE TEMP TABLE listed (name text, person text, x float8, y float8, eye_distance float8);
\copy listed FROM PROGRAM 'tail -n +2 sql_tests/data/portraits/groups.tsv'

-- one face on every portrait and variant, none in a landscape
CREATE TEMP TABLE found AS SELECT name, f.* FROM photo LEFT JOIN LATERAL face_embed_all(data) f ON true;
SELECT kind, count(DISTINCT name) AS pictures, count(face_no) AS faces, min(faces) AS least, max(faces) AS most
FROM (SELECT *, CASE WHEN name ~ '^[0-9]' THEN 'portrait' ELSE split_part(name, '-', 1) END AS kind, count(face_no) OVER (PARTITION BY name) AS faces FROM found) s
GROUP BY kind ORDER BY kind;

-- leaving one out, every portrait's nearest is another one of the same person
CREATE TEMP TABLE face AS SELECT name, split_part(name, '-', 2) AS person, embedding FROM found WHERE name ~ '^[0-9]';
SELECT a.person, count(*) AS portraits, count(*) FILTER (WHERE a.person = n.person) AS right
FROM face a, LATERAL (SELECT b.person FROM face b WHERE b.name <> a.name ORDER BY b.embedding <=> a.embedding LIMIT 1) n
GROUP BY a.person ORDER BY a.person;
-- the same by templates of the other four
SELECT count(*) AS right
FROM face a, LATERAL (SELECT b.person FROM face b WHERE b.name <> a.name GROUP BY b.person ORDER BY avg(b.embedding) <=> a.embedding LIMIT 1) n
WHERE a.person = n.person;

-- everybody in the group pictures is found in the right place, and known
SELECT l.name, l.person, count(f.face_no) AS faces,
	bool_and(width(f.box) BETWEEN l.eye_distance AND 4 * l.eye_distance) AS size, min(n.person) AS nearest
FROM listed l LEFT JOIN found f ON f.name = l.name AND f.box @> point(l.x, l.y)
LEFT JOIN LATERAL (SELECT b.person FROM face b ORDER BY b.embedding <=> f.embedding LIMIT 1) n ON true
GROUP BY l.name, l.person ORDER BY l.name, l.person COLLATE "C";

-- the same face in other formats
SELECT f.name, o.name AS original, f.embedding <=> o.embedding < 0.2 AS near,
	f.embedding <=> o.embedding < (SELECT min(embedding <=> f.embedding) FROM face WHERE name <> o.name) AS nearest
FROM (VALUES ('variant-exif-rotated.jpg', '03-adenya-1.jpg'), ('variant-gray.jpg', '08-takemo-2.jpg'), ('variant-png.png', '07-linvara-2.jpg')) v(variant, original)
JOIN found f ON f.name = variant JOIN face o ON o.name = original ORDER BY f.name;

-- two photos, one person or two, at the false match rate facerec.fmr
SELECT a.name, b.name AS other, v.same, v.similarity = (1 - (face_embed(a.data) <=> face_embed(b.data)))::real AS similarity
FROM photo a, photo b, face_verify(a.data, b.data) v
WHERE (a.name, b.name) IN (('01-suyeri-1.jpg', '01-suyeri-4.jpg'), ('05-othilde-2.jpg', '05-othilde-5.jpg'), ('01-suyeri-1.jpg', '02-devaran-1.jpg'), ('03-adenya-1.jpg', 'noface-1.jpg'))
ORDER BY a.name, b.name;
-- the identification query: enrolled people are found, others are not
SELECT q.name, string_agg(DISTINCT f.person, ', ') AS found
FROM face q LEFT JOIN face f ON f.name <> q.name AND f.embedding % q.embedding AND f.person <> 'corisse'
WHERE q.name IN ('02-devaran-5.jpg', '03-adenya-3.jpg', '11-corisse-1.jpg') GROUP BY q.name ORDER BY q.name;
