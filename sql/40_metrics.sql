-- ---- thresholds -------------------------------------------------------------
-- A threshold is a distance at which a model has a known false match rate.
-- Embeddings carry the fingerprint of their model, not its name; so it is the
-- fingerprint by which rows are found, whatever the model is called here.
-- Where a model has none, rows of its network are used, if there are any: the
-- fingerprint is then that of a descriptor without the keys that say how
-- faces are found (detector, detection_threshold, detection_size,
-- min_face_size, max_faces) and without weight_storage.

CREATE TABLE facerec_thresholds (
	model text COLLATE "C" NOT NULL
		CHECK (model ~ '^[A-Za-z0-9._-]{1,63}@[0-9a-f]{8}$'),
	fmr float8 NOT NULL CHECK (fmr > 0 AND fmr < 1),
	threshold float8 NOT NULL CHECK (threshold >= 0 AND threshold <= 2),
	fnmr float8 CHECK (fnmr >= 0 AND fnmr <= 1),
	n_genuine bigint CHECK (n_genuine >= 0),
	n_impostor bigint CHECK (n_impostor > 0),
	source text,
	calibrated_at timestamptz NOT NULL DEFAULT now(),
	builtin boolean NOT NULL DEFAULT false,
	fingerprint text COLLATE "C" NOT NULL
		GENERATED ALWAYS AS ("right"(model, 8)) STORED,
	CONSTRAINT facerec_thresholds_pkey PRIMARY KEY (model, fmr),
	CONSTRAINT facerec_thresholds_fingerprint_key UNIQUE (fingerprint, fmr)
);

COMMENT ON TABLE facerec_thresholds IS
	'calibration of the models: distance and false match rate';
COMMENT ON COLUMN facerec_thresholds.model IS
	'model, or network of models, as name@fingerprint';
COMMENT ON COLUMN facerec_thresholds.fmr IS
	'false match rate: share of pairs of strangers that match';
COMMENT ON COLUMN facerec_thresholds.threshold IS
	'cosine distance up to which two faces match';
COMMENT ON COLUMN facerec_thresholds.fnmr IS
	'false non-match rate: share of pairs of the same person that do not match';
COMMENT ON COLUMN facerec_thresholds.n_genuine IS
	'number of pairs of the same person that were compared';
COMMENT ON COLUMN facerec_thresholds.n_impostor IS
	'number of pairs of strangers that were compared';
COMMENT ON COLUMN facerec_thresholds.source IS
	'faces that the calibration rests on';
COMMENT ON COLUMN facerec_thresholds.calibrated_at IS
	'when the comparisons were made';
COMMENT ON COLUMN facerec_thresholds.builtin IS
	'came with the extension; not used for a model that has rows of its own here, and replaced by them';
COMMENT ON COLUMN facerec_thresholds.fingerprint IS
	'fingerprint in model, by which rows are found';

GRANT SELECT ON facerec_thresholds TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('facerec_thresholds',
	'WHERE NOT builtin');

-- SECURITY DEFINER: who may insert a row may replace a builtin one
CREATE FUNCTION facerec_thresholds_guard() RETURNS trigger
	AS 'MODULE_PATHNAME', 'facerec_thresholds_guard' LANGUAGE C
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION facerec_thresholds_guard() IS
	'marks what came with the extension and lets other rows replace it';
REVOKE EXECUTE ON FUNCTION facerec_thresholds_guard() FROM PUBLIC;

CREATE TRIGGER facerec_thresholds_guard
	BEFORE INSERT OR UPDATE OR DELETE ON facerec_thresholds
	FOR EACH ROW EXECUTE FUNCTION facerec_thresholds_guard();
COMMENT ON TRIGGER facerec_thresholds_guard ON facerec_thresholds IS
	'keeps builtin true, and what backends know of the table fresh';
-- also for rows that arrive by replication
ALTER TABLE facerec_thresholds ENABLE ALWAYS TRIGGER facerec_thresholds_guard;

CREATE FUNCTION facerec_network_fingerprint(fingerprint text) RETURNS text
	AS 'MODULE_PATHNAME', 'facerec_network_fingerprint'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION facerec_network_fingerprint(text) IS
	'fingerprint by which facerec_thresholds has rows for the network of a model, however its faces are found';

-- Calibrations are not mixed: of a model's own rows and its network's, of this
-- database's and the extension's, the first that there are hold.
CREATE VIEW facerec_thresholds_in_force AS
SELECT m.name || '@' || m.fingerprint AS model, t.fmr, t.threshold, t.fnmr,
	t.n_genuine, t.n_impostor, t.source, t.calibrated_at, t.builtin,
	t.model AS calibrated_as
FROM facerec_models m CROSS JOIN LATERAL (
	SELECT t.*, rank() OVER
		(ORDER BY t.fingerprint <> m.fingerprint, t.builtin) AS precedence
	FROM facerec_thresholds t
	WHERE t.fingerprint IN
		(m.fingerprint, facerec_network_fingerprint(m.fingerprint))) t
WHERE m.role = 'embedder' AND t.precedence = 1;
COMMENT ON VIEW facerec_thresholds_in_force IS
	'rows of facerec_thresholds that are used for each embedder';
COMMENT ON COLUMN facerec_thresholds_in_force.model IS
	'embedder, as name@fingerprint';
COMMENT ON COLUMN facerec_thresholds_in_force.calibrated_as IS
	'column model of the row in facerec_thresholds: the embedder, or its network';
COMMENT ON COLUMN facerec_thresholds_in_force.fmr IS
	'false match rate: share of the pairs of strangers that match';
COMMENT ON COLUMN facerec_thresholds_in_force.threshold IS
	'cosine distance up to which two faces match';
COMMENT ON COLUMN facerec_thresholds_in_force.fnmr IS
	'false non-match rate: share of the pairs of one person that do not match';
COMMENT ON COLUMN facerec_thresholds_in_force.n_genuine IS
	'number of pairs of one person that were compared';
COMMENT ON COLUMN facerec_thresholds_in_force.n_impostor IS
	'number of pairs of strangers that were compared';
COMMENT ON COLUMN facerec_thresholds_in_force.source IS
	'faces that the calibration rests on';
COMMENT ON COLUMN facerec_thresholds_in_force.calibrated_at IS
	'when the pairs were compared';
COMMENT ON COLUMN facerec_thresholds_in_force.builtin IS
	'came with the extension';
GRANT SELECT ON facerec_thresholds_in_force TO PUBLIC;

CREATE FUNCTION face_threshold(model text, fmr float8,
	gallery_size bigint DEFAULT 1) RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_threshold'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION face_threshold(text, float8, bigint) IS
	'cosine distance at which a model has a false match rate; with gallery_size N, at which a stranger matches any of N faces at that rate';

-- ---- same person ------------------------------------------------------------

CREATE FUNCTION face_match(a faceembedding, b faceembedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_face_match'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION face_match(faceembedding, faceembedding) IS
	'are two faces the same person, at the false match rate facerec.fmr?';

CREATE FUNCTION face_match(a faceembedding, b faceembedding, fmr float8)
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_face_match'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION face_match(faceembedding, faceembedding, float8) IS
	'are two faces the same person, at a given false match rate?';

CREATE FUNCTION face_match_sel(internal, oid, internal, integer)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_match_sel'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION face_match_sel(internal, oid, internal, integer) IS
	'restriction selectivity of % operator';

CREATE FUNCTION face_match_joinsel(internal, oid, internal, smallint, internal)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_match_joinsel'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION face_match_joinsel(internal, oid, internal, smallint, internal) IS
	'join selectivity of % operator';

CREATE OPERATOR % (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = face_match, COMMUTATOR = %,
	RESTRICT = face_match_sel, JOIN = face_match_joinsel
);
COMMENT ON OPERATOR % (faceembedding, faceembedding) IS
	'same person, at the false match rate facerec.fmr';

CREATE FUNCTION face_verify(a bytea, b bytea,
	OUT same boolean, OUT similarity real, OUT threshold real)
	AS 'MODULE_PATHNAME', 'facerec_face_verify'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 200000;
COMMENT ON FUNCTION face_verify(bytea, bytea) IS
	'do two photos show the same person, at the false match rate facerec.fmr? compares the largest faces; same and similarity are NULL when a photo has none';

CREATE FUNCTION face_verify(a bytea, b bytea, fmr float8,
	OUT same boolean, OUT similarity real, OUT threshold real)
	AS 'MODULE_PATHNAME', 'facerec_face_verify'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 200000;
COMMENT ON FUNCTION face_verify(bytea, bytea, float8) IS
	'do two photos show the same person, at a given false match rate?';
