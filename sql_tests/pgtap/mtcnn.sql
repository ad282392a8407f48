-- MTCNN, three real networks, on real photos: boxes, landmarks and scores
-- against an implementation in numpy and OpenCV (src/test/golden/mtcnn.json),
-- and landmarks for an embedder.  Skipped without the test data.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP true
\set present `test -r "${FACEREC_TESTDATA:-../shared}/models/mtcnn-pnet.onnx" && echo 1 || echo 0`
BEGIN;
\if :present
SELECT plan(12);
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'base64 -w0 src/test/golden/mtcnn.json | sed "s/^/golden\t/"; echo; cd "${FACEREC_TESTDATA:-../shared}" && for f in photos/*.jpg photos/*.png models/mtcnn-*.onnx models/mobilefacenet-128.onnx models/landmarks-regression-retail-0009.onnx; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE file AS SELECT substring(name FROM '[^/]*$') AS name, decode(base64, 'base64') AS data FROM input;
CREATE FUNCTION pg_temp.file(text) RETURNS bytea LANGUAGE sql AS 'SELECT data FROM file WHERE name = $1';
SELECT matches(face_model_load('mtcnn', ARRAY[pg_temp.file('mtcnn-pnet.onnx'), pg_temp.file('mtcnn-rnet.onnx'), pg_temp.file('mtcnn-onet.onnx')], 'mtcnn',
	'{"detection_size": 0}', 'MIT'), '^mtcnn@[0-9a-f]{8}$', 'three files are a model');
SELECT throws_ok($$SELECT face_model_load('x', ARRAY[pg_temp.file('mtcnn-pnet.onnx'), pg_temp.file('mtcnn-onet.onnx'), pg_temp.file('mtcnn-rnet.onnx')])$$,
	'22000', 'could not load face model "x"', 'in their order');
SELECT matches(face_model_load('points', pg_temp.file('landmarks-regression-retail-0009.onnx')), '^points@', 'a landmarks network is recognised');
SELECT is(preset, 'omz-landmarks-0009', 'by its looks') FROM facerec_models WHERE name = 'points';

CREATE TEMP TABLE photo AS
	SELECT p.key AS name, p.value AS golden, f.data FROM jsonb_each(convert_from(pg_temp.file('golden'), 'UTF8')::jsonb) p JOIN file f ON f.name = p.key;
CREATE TEMP TABLE golden AS
	SELECT name, n, box(point((v #>> '{box,0}')::float8, (v #>> '{box,1}')::float8), point((v #>> '{box,2}')::float8, (v #>> '{box,3}')::float8)) AS box,
		(v ->> 'score')::float8 AS score, v -> 'landmarks' AS landmarks
	FROM photo, jsonb_array_elements(golden -> 'faces') WITH ORDINALITY f(v, n);
CREATE TEMP TABLE detected AS SELECT name, (face_detect(data, 'mtcnn')).* FROM photo;
SELECT cmp_ok(count(*)::int, '>=', 20, 'there are photos to compare') FROM photo;
SELECT is_empty($$SELECT name, g.count, d.count FROM (SELECT name, count(*) FROM golden GROUP BY 1) g
	FULL JOIN (SELECT name, count(*) FROM detected GROUP BY 1) d USING (name) WHERE g.count IS DISTINCT FROM d.count$$, 'as many faces in each photo');
CREATE TEMP TABLE matched AS
	SELECT DISTINCT ON (g.name, g.n) g.*, d.box AS d_box, d.score AS d_score, d.landmarks AS d_landmarks,
		coalesce(area(d.box # g.box) / (area(d.box) + area(g.box) - area(d.box # g.box)), 0) AS iou
	FROM golden g JOIN detected d USING (name) ORDER BY g.name, g.n, iou DESC NULLS LAST;
SELECT cmp_ok(min(iou)::float8, '>=', 0.98::float8, 'box IoU >= 0.98, worst ' || round(min(iou)::numeric, 5)) FROM matched;
SELECT cmp_ok(max(d)::float8, '<=', 0.01::float8, 'landmarks within 1 % of the face''s width, worst ' || round(max(d)::numeric, 5))
FROM matched, generate_series(0, 4) k, LATERAL (SELECT (d_landmarks[k + 1] <-> point((landmarks ->> 2 * k)::float8, (landmarks ->> 2 * k + 1)::float8)) / width(box)) s(d);
SELECT cmp_ok(max(abs(score - d_score))::float8, '<=', 0.005::float8, 'scores within 0.005, worst ' || round(max(abs(score - d_score))::numeric, 6)) FROM matched;

-- ---- with an embedder -------------------------------------------------------
SELECT matches(face_model_load('mobile', pg_temp.file('mobilefacenet-128.onnx'), 'mobilefacenet', '{"detector": "mtcnn"}'), '^mobile@', 'an embedder uses it');
SELECT ok(bool_and(CASE WHEN same THEN d < 0.55 ELSE d > 0.6 END), 'the same person is near, others are far') FROM (VALUES
	('deepface-img5.jpg', 'deepface-img11.jpg', true), ('obama-small.jpg', 'obama2.jpg', true), ('deepface-img11.jpg', 'gray-img11.jpg', true),
	('obama2.jpg', 'biden2.jpg', false), ('kit-john2.jpg', 'rose-img1.jpg', false)) v(a, b, same),
	LATERAL (SELECT face_embed(p.data, 'mobile') <=> face_embed(q.data, 'mobile') FROM photo p, photo q WHERE p.name = a AND q.name = b) s(d);
SELECT throws_ok($$SELECT face_model_drop('mtcnn')$$, '2BP01', NULL, 'a detector in use stays');
SELECT * FROM finish();
\else
SELECT plan(1);
SELECT skip('no test data: set FACEREC_TESTDATA to the folder with models and photos', 1);
SELECT * FROM finish();
\endif
ROLLBACK;
