-- Ranges of faces: face_within, <@ and @>, and what the planner expects.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'

SELECT face_within('[3,4]', 0.25) AS range, (face_within('MODEL=1f3c9a7e;[1]', 'NaN')).*;
SELECT face_within(NULL, 0.25) AS a, face_within('[1]', NULL) AS b;
SELECT range::text::face_range = range AS same_text, range = ROW('[3,4]'::faceembedding, 0.25)::face_range AS same_row
FROM face_within('[3,4]', 0.25) range;

-- at most the distance, as float8 compares; <@ and @> agree
SELECT distance, count(*) FILTER (WHERE face <@ face_within('[1,0]', distance)) AS within,
	bool_and((face <@ face_within('[1,0]', distance)) = (face <=> '[1,0]' <= distance)) AS as_distance,
	bool_and((face <@ face_within('[1,0]', distance)) = (face_within('[1,0]', distance) @> face)) AS commuted
FROM unnest(ARRAY['[1,0]', '[4,3]', '[3,4]', '[0,1]', '[-1,0]']::faceembedding[]) face,
	unnest(ARRAY['-Infinity', -1, 0, 0.2, 0.4, 1, 2, 3, 'Infinity', 'NaN']::float8[]) distance
GROUP BY distance ORDER BY distance;
SELECT '[1]'::faceembedding <@ NULL::face_range AS a, NULL::faceembedding <@ face_within('[1]', 1) AS b,
	'[1]'::faceembedding <@ ROW(NULL, 1)::face_range AS c, '[1]'::faceembedding <@ ROW('[1]', NULL)::face_range AS d;

-- what cannot be compared
SELECT '[1]'::faceembedding <@ face_within('[1,0]', 1);
SELECT 'MODEL=11111111;[1]'::faceembedding <@ face_within('MODEL=22222222;[1]', 1);
SELECT 'MODEL=11111111;[1]'::faceembedding <@ face_within('[1]', 0) AS unknown_model;

-- estimates: strangers, and a few photos of the person
CREATE FUNCTION estimate(condition text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	EXECUTE 'EXPLAIN SELECT FROM range_test WHERE ' || condition INTO line;
	RETURN substring(line from 'rows=(\d+)');
END $$;
CREATE TABLE range_test AS
	SELECT ('[' || cosd(i) || ',' || sind(i) || repeat(',0', 126) || ']')::faceembedding(128) AS face
	FROM generate_series(1, 10000) i;
ALTER TABLE range_test ALTER face TYPE faceembedding(128);
ANALYZE range_test;
CREATE VIEW query AS SELECT ('[1' || repeat(',0', 127) || ']')::faceembedding AS q;
SELECT distance, estimate(format('face <@ face_within((SELECT q FROM query), %L)', distance)) AS rows
FROM unnest(ARRAY[-1, 0, 0.6, 0.7, 0.8, 0.98, 2, 'NaN']::float8[]) distance;
SELECT estimate('face <@ face_within((SELECT q FROM query), (SELECT 0.1))') AS unknown_distance;
SELECT estimate('face <@ NULL') AS no_range, estimate('face <@ face_within((SELECT q FROM query), NULL)') AS no_distance;
DROP TABLE range_test;
-- a column of ranges; an operator that is none of ours
CREATE TABLE range_test AS
	SELECT i AS id, face_within(('[' || cosd(i) || ',' || sind(i) || ']')::faceembedding, 0.001) AS range, i::text AS text
	FROM generate_series(1, 360) i;
SELECT id FROM range_test WHERE range @> '[0.6,0.8]'::faceembedding ORDER BY id;
SELECT id FROM range_test WHERE '[0.8,0.6]'::faceembedding <@ range ORDER BY id;
SELECT estimate('range @> ''[1,0]''::faceembedding') <= 20 AS few, estimate('range @> NULL') AS none;
SELECT count(*) FROM range_test a JOIN range_test b ON a.range @> (b.range).face WHERE b.id = 45;
CREATE OPERATOR <@@ (LEFTARG = text, RIGHTARG = text, FUNCTION = textne, RESTRICT = face_range_sel, JOIN = face_range_joinsel);
SELECT count(*) FROM range_test WHERE text <@@ '45';
SELECT count(*) FROM range_test a JOIN range_test b ON a.text <@@ b.text;
DROP OPERATOR <@@ (text, text);
DROP TABLE range_test;
DROP VIEW query;
DROP FUNCTION estimate;
