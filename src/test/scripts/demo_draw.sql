-- The photo :file with a box and a name for each face, as base64.
SELECT encode(face_draw(p.data, array_agg(g.box ORDER BY g.face_no), array_agg(m.person ORDER BY g.face_no)), 'base64')
FROM photo p, LATERAL face_embed_all(p.data) g,
     LATERAL (SELECT person FROM face ORDER BY embedding <=> g.embedding LIMIT 1) m
WHERE p.file = :'file'
GROUP BY p.data;
