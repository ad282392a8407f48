-- Real networks on real photos, against what reference implementations
-- computed (photos/golden.json of the test data): boxes, landmarks, scores,
-- embeddings, and who is who.  Skipped without the test data.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
\set present `test -r "${FACEREC_TESTDATA:-../shared}/photos/golden.json" && echo 1 || echo 0`
BEGIN;
\if :present
SELECT plan(22);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd "${FACEREC_TESTDATA:-../shared}" && for f in photos/*.json photos/*.jpg photos/*.png photos/crops/*.png models/yunet_n_dynamic.onnx models/mobilefacenet-128.onnx models/face-reidentification-retail-0095.onnx; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS
	SELECT substring(name FROM '^.*/') AS folder, substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
SELECT ok(bool_and(label ~ '^(yunet|mobile|retail)@[0-9a-f]{8}$'), 'the models load as they are') FROM (
	SELECT face_model_load('yunet', data, 'yunet', '{"detection_size": 0, "min_face_size": 0}', 'Apache-2.0') FROM file WHERE name = 'yunet_n_dynamic.onnx' UNION ALL
	SELECT face_model_load('mobile', data, 'mobilefacenet', '{"detector": "yunet"}', 'MIT') FROM file WHERE name = 'mobilefacenet-128.onnx' UNION ALL
	SELECT face_model_load('retail', data, 'omz-reid-0095', '{"detector": "yunet"}', 'Apache-2.0') FROM file WHERE name = 'face-reidentification-retail-0095.onnx') s(label);
SELECT results_eq('SELECT name COLLATE "default", dims FROM facerec_models WHERE NOT builtin ORDER BY name', $$VALUES ('mobile', 128), ('retail', 256), ('yunet', 0)$$, 'with their dimensions');
SELECT ok(bool_and(face_threshold(name, 1e-4) BETWEEN 0.4 AND 0.7), 'and thresholds') FROM unnest(ARRAY['mobile', 'retail']) name;
SET LOCAL facerec.detector = 'yunet';
SET LOCAL facerec.embedder = 'mobile';
SET LOCAL facerec.detection_size = 0;
SET LOCAL facerec.min_face_size = 0;

CREATE TEMP TABLE photo AS
	SELECT p.key AS name, p.value AS golden, f.data
	FROM file, jsonb_each(convert_from(data, 'UTF8')::jsonb -> 'photos') p JOIN file f ON f.folder = 'photos/' AND f.name = p.key
	WHERE file.name = 'golden.json';
CREATE TEMP TABLE golden AS
	SELECT name, n, (v #>> '{box,0}')::float8 AS x, (v #>> '{box,1}')::float8 AS y, (v #>> '{box,2}')::float8 AS w, (v #>> '{box,3}')::float8 AS h,
		(v ->> 'score')::float8 AS score, v -> 'landmarks' AS landmarks, v ->> 'crop112' AS crop112, v ->> 'crop128' AS crop128,
		face_embedding(ARRAY(SELECT e::real FROM jsonb_array_elements_text(v -> 'mobilefacenet') e), 'mobile') AS mobile,
		face_embedding(ARRAY(SELECT e::real FROM jsonb_array_elements_text(v -> 'retail0095') e), 'retail') AS retail
	FROM photo, jsonb_array_elements(golden -> 'faces') WITH ORDINALITY f(v, n);

-- ---- pictures --------------------------------------------------------------
SELECT is_empty($$SELECT name FROM photo, face_image_info(data) i WHERE name <> 'webp-named.jpg'
	AND (i.width, i.height, i.format) IS DISTINCT FROM ((golden ->> 'width')::int, (golden ->> 'height')::int, golden ->> 'format')$$, 'sizes and formats of all photos');
SELECT throws_ok($$SELECT face_embed(data) FROM file WHERE name = 'webp-named.jpg'$$, '0A000', 'image format "WebP" is not supported', 'WebP under another name is refused by name');

-- ---- detection -------------------------------------------------------------
CREATE TEMP TABLE detected AS SELECT name, (face_embed_all(data)).* FROM photo WHERE name <> 'webp-named.jpg';
SELECT is_empty($$SELECT name, g.count, d.count FROM (SELECT name, count(*) FROM golden WHERE name <> 'webp-named.jpg' GROUP BY 1) g
	FULL JOIN (SELECT name, count(*) FROM detected GROUP BY 1) d USING (name) WHERE g.count IS DISTINCT FROM d.count$$, 'as many faces in each photo');
CREATE TEMP TABLE matched AS
	SELECT DISTINCT ON (g.name, g.n) g.*, d.face_no, d.box, d.score AS d_score, d.quality, d.landmarks AS d_landmarks, d.embedding,
		coalesce(area(d.box # b.box) / (area(d.box) + area(b.box) - area(d.box # b.box)), 0) AS iou
	FROM golden g CROSS JOIN LATERAL (SELECT box(point(x, y), point(x + w, y + h))) b(box) JOIN detected d ON d.name = g.name
	ORDER BY g.name, g.n, iou DESC NULLS LAST;
SELECT cmp_ok((SELECT count(*) FROM matched)::int, '>=', 30, 'there are faces to compare');
SELECT cmp_ok(min(iou)::float8, '>=', 0.99::float8, 'box IoU >= 0.99, worst ' || round(min(iou)::numeric, 6)) FROM matched;
SELECT cmp_ok(max(d)::float8, '<=', 0.5::float8, 'landmarks within 0.5 pixels, worst ' || round(max(d)::numeric, 4))
FROM matched, generate_series(0, 4) k, LATERAL (SELECT d_landmarks[k + 1] <-> point((landmarks #>> ARRAY[k::text, '0'])::float8, (landmarks #>> ARRAY[k::text, '1'])::float8)) s(d);
SELECT cmp_ok(max(abs(score - d_score))::float8, '<=', 0.001::float8, 'scores within 0.001, worst ' || round(max(abs(score - d_score))::numeric, 6)) FROM matched;
SELECT ok(bool_and(face_no = rank), 'faces are ordered by area') FROM (
	SELECT face_no, rank() OVER (PARTITION BY name ORDER BY area(box) DESC) FROM detected) s;
SELECT ok(bool_and(quality BETWEEN 0 AND 100), 'quality is within 0 and 100') FROM detected;

-- ---- embeddings ------------------------------------------------------------
SELECT cmp_ok(max(embedding <=> mobile), '<=', 0.0005::float8, 'mobilefacenet end to end: cosine >= 0.9995, worst distance ' || round(max(embedding <=> mobile)::numeric, 7)) FROM matched;
CREATE TEMP TABLE retail AS SELECT name, (face_embed_all(data, 'retail')).* FROM photo WHERE name <> 'webp-named.jpg';
SELECT cmp_ok(max(r.embedding <=> m.retail), '<=', 0.0005::float8, 'retail-0095 end to end: cosine >= 0.9995, worst distance ' || round(max(r.embedding <=> m.retail)::numeric, 7))
FROM matched m JOIN retail r USING (name, face_no);
SELECT cmp_ok(max(e <=> mobile), '<=', 0.00001::float8, 'mobilefacenet from golden crops: cosine >= 0.99999, worst distance ' || round(max(e <=> mobile)::numeric, 8))
FROM (SELECT mobile, face_embed_aligned(f.data, 'mobile') AS e FROM golden g JOIN file f ON f.folder || f.name = 'photos/' || g.crop112 OFFSET 0) s;
SELECT cmp_ok(max(e <=> retail), '<=', 0.00001::float8, 'retail-0095 from golden crops: cosine >= 0.99999, worst distance ' || round(max(e <=> retail)::numeric, 8))
FROM (SELECT retail, face_embed_aligned(f.data, 'retail') AS e FROM golden g JOIN file f ON f.folder || f.name = 'photos/' || g.crop128 OFFSET 0) s;
SELECT cmp_ok(max(e <=> embedding), '<=', 0.01::float8, 'the face in a box is the face of the box, worst distance ' || round(max(e <=> embedding)::numeric, 7))
FROM (SELECT embedding, face_embed(p.data, d.box) AS e FROM detected d JOIN photo p USING (name) OFFSET 0) s;

-- ---- who is who ------------------------------------------------------------
CREATE TEMP TABLE person AS SELECT name, split_part(name, '-', 1) AS who, face_embed(data) AS embedding FROM photo WHERE name IN ('obama2.jpg', 'biden2.jpg', 'kit-john2.jpg', 'rose-img1.jpg', 'lin-manuel-miranda.png', 'alex-lacamoire.png');
PREPARE who AS SELECT p.name, f.face_no, (SELECT substring(q.name FROM '^[a-z]+') FROM person q ORDER BY q.embedding <=> f.embedding LIMIT 1)
	FROM photo p, LATERAL face_embed_all(p.data) f WHERE p.name = ANY ('{obama-small.jpg,exif6-obama-small.jpg,palette-alex.png}') ORDER BY 1, 2;
SELECT results_eq('who', $$VALUES ('exif6-obama-small.jpg', 1, 'obama'), ('obama-small.jpg', 1, 'obama'), ('palette-alex.png', 1, 'alex')$$, 'portraits find their person');
SELECT set_eq($$SELECT (SELECT substring(q.name FROM '^[a-z]+') FROM person q ORDER BY q.embedding <=> f.embedding LIMIT 1) FROM photo p, LATERAL face_embed_all(p.data) f WHERE p.name = 'two-people.jpg'$$,
	ARRAY['obama', 'biden'], 'two people in one photo are found');
SELECT set_eq($$SELECT (SELECT substring(q.name FROM '^[a-z]+') FROM person q ORDER BY q.embedding <=> f.embedding LIMIT 1) FROM photo p, LATERAL face_embed_all(p.data) f WHERE p.name = 'kit-with-rose.jpg'$$,
	ARRAY['kit', 'rose'], 'two others, too');
SELECT ok(bool_and(CASE WHEN same THEN d < 0.55 ELSE d > 0.6 END), 'the same person is near, others are far') FROM (VALUES
	('deepface-img5.jpg', 'deepface-img11.jpg', true), ('deepface-img5.jpg', 'progressive-444-img5.jpg', true), ('deepface-img11.jpg', 'gray-img11.jpg', true),
	('deepface-img29.jpg', 'cmyk-img29.jpg', true), ('obama-small.jpg', 'obama2.jpg', true), ('obama2.jpg', 'biden2.jpg', false), ('kit-john2.jpg', 'rose-img1.jpg', false),
	('alex-lacamoire.png', 'lin-manuel-miranda.png', false), ('deepface-img5.jpg', 'deepface-img29.jpg', false)) v(a, b, same),
	LATERAL (SELECT face_embed(p.data) <=> face_embed(q.data) FROM photo p, photo q WHERE p.name = a AND q.name = b) s(d);
-- reduced decoding and detection at the default size change little
SET LOCAL facerec.detection_size = 640;
SELECT cmp_ok(max(face_embed(p.data) <=> d.embedding), '<=', 0.1::float8, 'detecting at 640 gives nearly the same embedding, worst distance ' || round(max(face_embed(p.data) <=> d.embedding)::numeric, 4))
FROM photo p JOIN detected d USING (name) WHERE d.face_no = 1 AND p.name ~ '(obama2|biden2|rose-img1|kit-john2|two-people)';
SELECT * FROM finish();
\else
SELECT plan(1);
SELECT skip('no test data: set FACEREC_TESTDATA to the folder with models and photos', 1);
SELECT * FROM finish();
\endif
ROLLBACK;
