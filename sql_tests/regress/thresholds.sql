-- Thresholds by false match rate, face_match and the operator %.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
BEGIN;

-- a face turned by so many degrees, of a model
CREATE FUNCTION face(degrees float8, model text DEFAULT '0000abcd') RETURNS faceembedding LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	$$ SELECT format('%s[%s,%s]', 'MODEL=' || nullif(model, '') || ';', cosd(degrees), sind(degrees))::faceembedding $$;

INSERT INTO facerec_thresholds (model, fmr, threshold, fnmr, n_genuine, n_impostor, source) VALUES
	('calibrated@0000abcd', 1e-2, 0.5, 0.01, 1000, 1000000, 'test'),
	('calibrated@0000abcd', 1e-4, 0.3, 0.05, 1000, 1000000, 'test'),
	('unsure@0000beef', 1e-1, 0.7, NULL, NULL, 100, NULL),
	('unsure@0000beef', 1e-3, 0.6, NULL, NULL, NULL, NULL),
	('unsure@0000beef', 1e-4, 0.5, NULL, NULL, 10000, NULL);
SELECT model, fmr, threshold, builtin, fingerprint FROM facerec_thresholds WHERE NOT builtin ORDER BY model, fmr;

-- rows and what lies between them
SELECT fmr, round(face_threshold('calibrated@0000abcd', fmr)::numeric, 6) AS threshold
FROM unnest(ARRAY[1e-4, 2e-4, 1e-3, 5e-3, 1e-2]::float8[]) fmr;
-- the fingerprint decides, not the name
SELECT round(face_threshold('elsewhere@0000abcd', 1e-3)::numeric, 6) AS other_name,
	round(face_threshold('0000abcd', 1e-3)::numeric, 6) AS no_name;
-- with a gallery the rate is that of the whole search
SELECT round(face_threshold('calibrated@0000abcd', 0.5, 1000)::numeric, 6) AS threshold,
	round(face_threshold('calibrated@0000abcd', 1 - 0.5 ^ 0.001::float8)::numeric, 6) AS same;
SELECT face_threshold(NULL, 1e-3), face_threshold('calibrated@0000abcd', NULL), face_threshold('calibrated@0000abcd', 1e-3, NULL);

\set ON_ERROR_ROLLBACK on
-- outside nothing is guessed
SELECT face_threshold('calibrated@0000abcd', 9e-5);
SELECT face_threshold('calibrated@0000abcd', 0.011);
SELECT face_threshold('calibrated@0000abcd', 1e-2, 1000000);
-- the largest gallery is possible, one face more is not
SELECT round(face_threshold('calibrated@0000abcd', 1e-2, 100)::numeric, 4) AS threshold;
SELECT face_threshold('calibrated@0000abcd', 1e-2, 101);
SELECT face_threshold('calibrated@0000abcd', 1e-5, 2);
SELECT face_threshold('calibrated@0000abcd', 0.5, 2);
SELECT face_threshold('uncalibrated@12345678', 1e-3);
-- arguments
SELECT face_threshold('nobody', 1e-3);
SELECT face_threshold('nobody@xyz', 1e-3);
SELECT face_threshold('', 1e-3);
SELECT face_threshold('calibrated@0000abcd', 0);
SELECT face_threshold('calibrated@0000abcd', 1);
SELECT face_threshold('calibrated@0000abcd', 'NaN');
SELECT face_threshold('calibrated@0000abcd', 1e-3, 0);

-- a calibration that is too small for the rate: one warning, not one per row
SELECT count(face_threshold('unsure@0000beef', 1e-4)) FROM generate_series(1, 1000);
SELECT face_threshold('unsure@0000beef', 1e-3);
SELECT round(face_threshold('unsure@0000beef', 3e-4)::numeric, 6) AS threshold;
SELECT round(face_threshold('unsure@0000beef', 0.05)::numeric, 6) AS threshold;

-- same person
SET facerec.fmr = 1e-4; -- up to 0.3: 45.57 degrees
SELECT face(0) % face(0) AS self, face(0) % face(45.5) AS near, face(45.5) % face(0) AS commuted, face(0) % face(45.7) AS far;
SELECT face_match(face(0), face(45.7)), face_match(face(0), face(45.7), 1e-3), face_match(face(0), face(59.9), 1e-2), face_match(face(0), face(60.1), 1e-2);
SELECT face(0) % NULL AS a, face_match(face(0), face(0), NULL) AS b;
SET facerec.fmr = 1e-2; -- up to 0.5: 60 degrees
SELECT face(0) % face(59.9) AS near, face(0) % face(60.1) AS far;
SELECT face_match(face(0), face(0), 0);
SELECT face_match(face(0), face(0), 2e-2);
SET facerec.fmr = 1e-6;
SELECT face(0) % face(0);
-- models: of one unknown side the other decides; two known ones must agree
SET facerec.fmr = 1e-2;
SELECT face(0, '') % face(59.9) AS near, face(60.1) % face(0, '') AS far;
SELECT face(0, '') % face(0, '');
SELECT face(0) % face(0, '0000beef');
SELECT face(0) % '[1,0,0]';
-- pairs of several models in one query; rates that change from row to row
SELECT model, count(*), count(*) FILTER (WHERE face(0, model) % face(degrees, model)) AS matches
FROM generate_series(0, 90) degrees, unnest(ARRAY['0000abcd', '0000beef']) model GROUP BY model ORDER BY model;
SELECT fmr, count(*) FILTER (WHERE face_match(face(0), face(degrees), fmr)) AS matches
FROM generate_series(0, 90) degrees, unnest(ARRAY[1e-2, 1e-3, 1e-4]::float8[]) fmr GROUP BY fmr ORDER BY fmr;

-- the identification query
CREATE TABLE gallery AS SELECT n AS person_id, face(3 * n) AS embedding FROM generate_series(0, 119) n;
SELECT person_id, round((embedding <=> q.probe)::numeric, 4) AS distance
FROM gallery, (SELECT face(100) AS probe OFFSET 0) q
WHERE embedding % q.probe ORDER BY embedding <=> q.probe LIMIT 5;
SELECT count(*) AS matches FROM gallery WHERE embedding % face(100);
-- in parallel
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM gallery WHERE embedding % face(100);
SELECT count(*) AS matches FROM gallery WHERE embedding % face(100);
RESET max_parallel_workers_per_gather;
-- what the planner expects: strangers at the rate, and ten photos of a person
CREATE FUNCTION expected(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
CREATE TABLE crowd AS SELECT face(n) AS embedding FROM generate_series(1, 10000) n;
ANALYZE crowd;
SET max_parallel_workers_per_gather = 0;
SELECT expected('SELECT * FROM crowd WHERE embedding % face(0)') AS rows,
	expected('SELECT * FROM crowd c, (SELECT face(0) AS probe OFFSET 0) q WHERE c.embedding % q.probe') AS joined;

-- a statement sees the rows that its snapshot sees
CREATE FUNCTION now_and_then(OUT before float8, OUT after float8) LANGUAGE plpgsql AS $$
BEGIN
	FOR step IN 1 .. 2 LOOP
		after := face_threshold('0000abcd', 1e-4);
		before := coalesce(before, after);
		UPDATE facerec_thresholds SET threshold = 0.25 WHERE fingerprint = '0000abcd' AND fmr = 1e-4;
	END LOOP;
END $$;
SAVEPOINT before;
SELECT * FROM now_and_then();
SELECT face_threshold('0000abcd', 1e-4);
ROLLBACK TO before;
SELECT face_threshold('0000abcd', 1e-4);
PREPARE threshold AS SELECT face_threshold('0000abcd', 1e-4);
EXECUTE threshold;
DELETE FROM facerec_thresholds WHERE fingerprint = '0000abcd' AND fmr = 1e-4;
EXECUTE threshold;
ROLLBACK TO before;
EXECUTE threshold;
TRUNCATE facerec_thresholds;
EXECUTE threshold;
ROLLBACK TO before;

-- the table refuses nonsense
\set VERBOSITY terse
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('calibrated', 1e-3, 0.4);
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('x@0000ABCD', 1e-3, 0.4);
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES (NULL, 1e-3, 0.4);
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('x@0000cafe', 0, 0.4);
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('x@0000cafe', 'NaN', 0.4);
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('x@0000cafe', 1e-3, 2.1);
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('x@0000cafe', 1e-3, 'NaN');
INSERT INTO facerec_thresholds (model, fmr, threshold, n_impostor) VALUES ('x@0000cafe', 1e-3, 0.4, 0);
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('another@0000abcd', 1e-4, 0.4);
\set VERBOSITY default

-- builtin rows: rows of one's own hide and replace them
ALTER TABLE facerec_thresholds DISABLE TRIGGER facerec_thresholds_guard;
INSERT INTO facerec_thresholds (model, fmr, threshold, builtin) VALUES
	('shipped@0000cafe', 1e-2, 0.5, true), ('shipped@0000cafe', 1e-3, 0.4, true), ('shipped@0000cafe', 1e-4, 0.3, true);
ALTER TABLE facerec_thresholds ENABLE ALWAYS TRIGGER facerec_thresholds_guard;
SELECT face_threshold('shipped@0000cafe', 1e-3);
INSERT INTO facerec_thresholds (model, fmr, threshold, builtin) VALUES ('site@0000cafe', 1e-3, 0.45, true), ('site@0000cafe', 1e-2, 0.55, true)
	ON CONFLICT (model, fmr) DO UPDATE SET threshold = excluded.threshold;
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('site@0000cafe', 1e-3, 0.44)
	ON CONFLICT (model, fmr) DO UPDATE SET threshold = excluded.threshold;
SELECT model, fmr, threshold, builtin FROM facerec_thresholds WHERE fingerprint = '0000cafe' ORDER BY fmr;
SELECT face_threshold('shipped@0000cafe', 1e-3), face_threshold('shipped@0000cafe', 1e-2);
SELECT face_threshold('shipped@0000cafe', 1e-4);
-- (an own row that contradicts is refused when it is used)
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('site@0000cafe', 1e-4, 0.6);
SELECT face_threshold('shipped@0000cafe', 1e-3);
DELETE FROM facerec_thresholds WHERE model = 'site@0000cafe' AND fmr = 1e-4;
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('site@0000cafe', 1e-4, 0.3);
SELECT face_threshold('shipped@0000cafe', 1e-5);
ALTER TABLE facerec_thresholds DISABLE TRIGGER facerec_thresholds_guard;
INSERT INTO facerec_thresholds (model, fmr, threshold, builtin) VALUES ('shipped@0000cafe', 1e-5, 0.2, true);
ALTER TABLE facerec_thresholds ENABLE ALWAYS TRIGGER facerec_thresholds_guard;
SELECT face_threshold('shipped@0000cafe', 1e-5);
UPDATE facerec_thresholds SET threshold = 0.35 WHERE fingerprint = '0000cafe' AND builtin;
SELECT model, fmr, threshold, builtin FROM facerec_thresholds WHERE fingerprint = '0000cafe' ORDER BY fmr;

-- the rows of the extension can be lost, and come back beside those of one's own
CREATE TABLE shipped AS SELECT model, fmr, threshold, fnmr, n_genuine, n_impostor, source, calibrated_at, builtin FROM facerec_thresholds WHERE fingerprint <> '0000cafe' AND builtin;
SELECT count(*) > 20 AS many, bool_and(n_impostor > 1000000) AS large, count(DISTINCT model) AS networks FROM shipped;
SELECT name || '@' || fingerprint AS label, facerec_network_fingerprint(fingerprint) AS network FROM facerec_models WHERE name = 'facerec-embedder' \gset
CREATE FUNCTION in_force(of_model text) RETURNS TABLE (fmr float8, builtin boolean, by_network boolean, used boolean) LANGUAGE sql AS $$
	SELECT fmr, builtin, calibrated_as !~ "right"(of_model, 8), face_threshold(model, fmr) = threshold FROM facerec_thresholds_in_force WHERE model = of_model ORDER BY fmr
$$;
SELECT * FROM in_force(:'label');
DELETE FROM facerec_thresholds WHERE builtin;
SELECT * FROM in_force(:'label');
CREATE FUNCTION complain(fmr float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
	PERFORM face_threshold('facerec-embedder', fmr);
	RETURN 'fine';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', regexp_replace(SQLERRM, '@[0-9a-f]+', ''), detail, hint);
END $$;
\pset format unaligned
SELECT complain(1e-4);
\pset format aligned
SELECT facerec_thresholds_install();
CREATE VIEW lost AS SELECT * FROM shipped EXCEPT SELECT model, fmr, threshold, fnmr, n_genuine, n_impostor, source, calibrated_at, builtin FROM facerec_thresholds;
CREATE VIEW gained AS SELECT model, fmr, threshold, fnmr, n_genuine, n_impostor, source, calibrated_at, builtin FROM facerec_thresholds WHERE builtin EXCEPT SELECT * FROM shipped;
SELECT (SELECT count(*) FROM lost) AS lost, (SELECT count(*) FROM gained) AS gained, count(*) FILTER (WHERE NOT builtin) AS own FROM facerec_thresholds;
SELECT facerec_thresholds_install();
SELECT (SELECT count(*) FROM lost) AS lost, (SELECT count(*) FROM gained) AS gained;
-- a row that was changed is one's own from then on: it alone is used, until it goes
UPDATE facerec_thresholds SET threshold = 0.5 WHERE fingerprint = :'network' AND fmr = 1e-4;
SELECT * FROM in_force(:'label');
\pset format unaligned
SELECT complain(1e-3);
\pset format aligned
SELECT facerec_thresholds_install();
SELECT count(*) AS lost FROM lost;
DELETE FROM facerec_thresholds WHERE fingerprint = :'network' AND NOT builtin;
SELECT facerec_thresholds_install();
SELECT (SELECT count(*) FROM lost) AS lost, (SELECT count(*) FROM gained) AS gained;
-- rows of the model itself go before those of its network
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES (:'label', 1e-2, 0.7), (:'label', 1e-3, 0.6);
SELECT * FROM in_force(:'label');
SELECT DISTINCT model FROM facerec_thresholds_in_force WHERE model <> :'label';
SELECT facerec_network_fingerprint('0000abcd'), facerec_network_fingerprint('nonsense'), facerec_network_fingerprint(NULL);
-- what fails leaves nothing marked as the extension's
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON facerec_thresholds FOR EACH ROW WHEN (new.fmr = 1e-6) EXECUTE FUNCTION refuse();
SELECT facerec_thresholds_install() \g /dev/null
DROP TRIGGER refuse ON facerec_thresholds;
INSERT INTO facerec_thresholds (model, fmr, threshold, builtin) VALUES ('x@0000dead', 1e-3, 0.4, true) RETURNING builtin;
SELECT (SELECT count(*) FROM lost) AS lost, (SELECT count(*) FROM gained) AS gained;

-- by replication the extension's rows neither come nor go; others do, in their place
SET session_replication_role = replica;
INSERT INTO facerec_thresholds (model, fmr, threshold, builtin) VALUES ('newer@0000feed', 1e-3, 0.4, true);
DELETE FROM facerec_thresholds WHERE builtin;
SELECT (SELECT count(*) FROM lost) AS lost, (SELECT count(*) FROM gained) AS gained;
INSERT INTO facerec_thresholds (model, fmr, threshold) SELECT model, fmr, 0.5 FROM shipped WHERE fmr = 1e-4;
SELECT (SELECT count(*) FROM lost) AS lost, count(*) FILTER (WHERE threshold = 0.5 AND NOT builtin) >= 4 AS replaced FROM facerec_thresholds;
DELETE FROM facerec_thresholds WHERE threshold = 0.5 AND fmr = 1e-4 AND NOT builtin;
SET client_min_messages = warning;
SELECT facerec_thresholds_install();
RESET client_min_messages;
RESET session_replication_role;
SELECT (SELECT count(*) FROM lost) AS lost, (SELECT count(*) FROM gained) AS gained;

-- everybody reads and uses, the owner writes; the guard guards one table
CREATE ROLE regress_facerec_reader;
SET ROLE regress_facerec_reader;
SELECT count(*) FROM facerec_thresholds WHERE fingerprint = '0000abcd';
INSERT INTO facerec_thresholds (model, fmr, threshold) VALUES ('x@0000abcd', 1e-3, 0.4);
SELECT count(*) > 0 AS sees FROM facerec_thresholds_in_force;
SELECT facerec_thresholds_install();
SELECT facerec_thresholds_add();
RESET ROLE;
REVOKE SELECT ON facerec_thresholds FROM PUBLIC;
SET ROLE regress_facerec_reader;
SELECT count(*) FROM facerec_thresholds;
SELECT face_threshold('0000abcd', 1e-4);
CREATE TEMP TABLE trap (model text, fmr float8, builtin boolean);
CREATE TRIGGER trap BEFORE INSERT ON trap FOR EACH ROW EXECUTE FUNCTION facerec_thresholds_guard();
RESET ROLE;
-- (not even the owner's)
CREATE TRIGGER trap BEFORE INSERT ON trap FOR EACH ROW EXECUTE FUNCTION facerec_thresholds_guard();
INSERT INTO trap VALUES ('shipped@0000cafe', 1e-4, false);
ROLLBACK;
