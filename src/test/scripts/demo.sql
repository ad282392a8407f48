-- Enrol pictures 1 to 4 of each person; identify picture 5 and the groups;
-- compare two photos.
\pset footer off
\timing on
\echo '-- INSERT INTO face SELECT file, person, face_embed(data) FROM photo ...'
INSERT INTO face
SELECT file, split_part(file, '-', 2), face_embed(data)
FROM photo WHERE file ~ '^[0-9]+-[a-z]+-[1-4]\.jpg$';
SELECT EXISTS (SELECT FROM pg_am WHERE amname = 'faceindex') AS has_index \gset
\if :has_index
\echo '-- CREATE INDEX ON face USING faceindex (embedding)'
CREATE INDEX ON face USING faceindex (embedding);
\endif
\timing off
ANALYZE face;

SELECT count(*) AS enrolled_photos, count(embedding) AS with_a_face, count(DISTINCT person) AS persons
FROM face;

\echo 'Who is on the fifth portraits?'
SELECT p.file, m.person AS identified_as, round(m.distance::numeric, 3) AS distance,
       round(m.runner_up::numeric, 3) AS next_person_at,
       CASE WHEN m.person = split_part(p.file, '-', 2) THEN 'right' ELSE 'WRONG' END AS result
FROM photo p,
     LATERAL (SELECT face_embed(p.data) AS probe OFFSET 0) q,
     LATERAL (SELECT person, distance,
                     lead(distance) OVER (ORDER BY distance) AS runner_up
              FROM (SELECT person, min(embedding <=> q.probe) AS distance FROM face GROUP BY person) d
              ORDER BY distance LIMIT 1) m
WHERE p.file ~ '^[0-9]+-[a-z]+-5\.jpg$'
ORDER BY p.file;

\echo 'Who is on the group photos?'
SELECT p.file, g.face_no, round(g.score::numeric, 2) AS score, round(g.quality) AS quality,
       m.person, round(m.distance::numeric, 3) AS distance
FROM photo p, LATERAL face_embed_all(p.data) g,
     LATERAL (SELECT person, embedding <=> g.embedding AS distance
              FROM face ORDER BY embedding <=> g.embedding LIMIT 1) m
WHERE p.file LIKE 'group-%'
ORDER BY p.file, g.face_no;

\echo 'Do two photos show one person?'
SELECT a.file, b.file AS other, v.same, round(v.similarity::numeric, 3) AS similarity, round(v.threshold::numeric, 3) AS threshold
FROM photo a, photo b, LATERAL face_verify(a.data, b.data) v
WHERE (a.file, b.file) IN (('01-suyeri-1.jpg', '01-suyeri-5.jpg'), ('01-suyeri-1.jpg', '02-devaran-1.jpg'))
ORDER BY b.file;
