-- Templates: the mean direction of a person's embeddings.

-- the mean is a direction; its model is that of all rows, or unknown
SELECT avg(e) FROM (VALUES ('[1,0]'::faceembedding), ('[0,1]')) v (e);
SELECT avg(e) FROM (VALUES ('MODEL=1f3c9a7e;[1,0]'::faceembedding), ('MODEL=1f3c9a7e;[0,1]')) v (e);
SELECT avg(e) FROM (VALUES ('MODEL=1f3c9a7e;[1,0]'::faceembedding), ('[0,1]')) v (e);
SELECT avg(e) FROM (VALUES ('[0,1]'::faceembedding), ('MODEL=1f3c9a7e;[1,0]')) v (e);
SELECT avg(e) = e AS same FROM (VALUES ('MODEL=1f3c9a7e;[0.1,0.7,-0.3,1e-7]'::faceembedding)) v (e) GROUP BY e;

-- NULLs do not count, no rows give NULL
SELECT avg(e) FROM (VALUES ('[1,0]'::faceembedding), (NULL), ('[0,1]')) v (e);
SELECT avg(e) IS NULL AS no_rows FROM (VALUES ('[1,0]'::faceembedding)) v (e) WHERE false;
SELECT avg(NULL::faceembedding) IS NULL AS only_nulls;

-- what cannot be averaged
SELECT avg(e) FROM (VALUES ('MODEL=1f3c9a7e;[1,0]'::faceembedding), ('[1,0]'), ('MODEL=9b1d22c0;[1,0]')) v (e);
SELECT avg(e) FROM (VALUES ('[1,0]'::faceembedding), ('[1,0,0]')) v (e);
SELECT avg(e) FROM (VALUES ('[1,2]'::faceembedding), ('[-1,-2]')) v (e);

-- weights
SELECT face_template(e, w) FROM (VALUES ('[1,0]'::faceembedding, 3), ('[0,1]', 4)) v (e, w);
SELECT face_template(e, w) FROM (VALUES ('[1,0]'::faceembedding, 1e300), ('[0,1]', 1e300)) v (e, w);
SELECT face_template(e, w) FROM (VALUES ('[1,0]'::faceembedding, 3e-300), ('[0,1]', 4e-300)) v (e, w);
SELECT face_template(e, w) FROM (VALUES ('[1,0]'::faceembedding, 1), ('[0,1]', 0), ('[0,1]', NULL), (NULL, 1)) v (e, w);
SELECT face_template(e, 0) IS NULL AS no_weight FROM (VALUES ('[1,0]'::faceembedding)) v (e);
SELECT face_template(e, -1) FROM (VALUES ('[1,0]'::faceembedding)) v (e);
SELECT face_template(e, 'NaN') FROM (VALUES ('[1,0]'::faceembedding)) v (e);
SELECT face_template(e, 'Infinity') FROM (VALUES ('[1,0]'::faceembedding)) v (e);
SELECT face_template(e, 1e308) FROM (VALUES ('[1,0]'::faceembedding), ('[1,0]')) v (e);

-- in parallel: the same template as in one process
CREATE TABLE faces (person int, e faceembedding(128));
INSERT INTO faces
SELECT i % 4, ('MODEL=1f3c9a7e;[' || string_agg((sin((i % 4) * 131.7 + d * d * 0.37) + 0.3 * sin(i * d * 1.7))::text, ',') || ']')::faceembedding
FROM generate_series(1, 400) i, generate_series(1, 128) d GROUP BY i;
ALTER TABLE faces SET (parallel_workers = 2);
ANALYZE faces;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE serial_templates AS SELECT person, avg(e) AS e, face_template(e, 1 + person) AS weighted FROM faces GROUP BY person;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT person, avg(e) FROM faces GROUP BY person;
CREATE TABLE parallel_templates AS SELECT person, avg(e) AS e, face_template(e, 1 + person) AS weighted FROM faces GROUP BY person;
SELECT count(*), count(*) FILTER (WHERE s.e <=> p.e > 1e-6 OR s.weighted <=> p.weighted > 1e-6) AS different,
	count(*) FILTER (WHERE face_model(p.e) LIKE '%1f3c9a7e') AS of_the_model
FROM serial_templates s JOIN parallel_templates p USING (person);
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET enable_sort;

-- a template is nearer to its person than any single face of another
SELECT count(*) AS wrong FROM faces f
WHERE person <> (SELECT t.person FROM serial_templates t ORDER BY t.e <=> f.e LIMIT 1);

-- as a window function, and over groups of mixed models
SELECT person, avg(e) OVER (PARTITION BY person ORDER BY w) AS running
FROM (VALUES (1, 1, '[1,0]'::faceembedding), (1, 2, '[0,1]'), (2, 1, '[0,-1]')) v (person, w, e);
DROP TABLE faces, serial_templates, parallel_templates;
