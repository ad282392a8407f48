-- ---- models ---------------------------------------------------------------

CREATE TABLE facerec_models (
	name text COLLATE "C" CONSTRAINT facerec_models_pkey PRIMARY KEY,
	fingerprint text COLLATE "C" NOT NULL
		CONSTRAINT facerec_models_fingerprint_key UNIQUE,
	role text NOT NULL CHECK (role IN ('detector', 'embedder', 'landmarks')),
	preset text NOT NULL,
	descriptor jsonb NOT NULL,
	dims int NOT NULL,
	sha256 bytea NOT NULL,
	license text,
	source text,
	builtin boolean NOT NULL DEFAULT false,
	loaded_at timestamptz NOT NULL DEFAULT now(),
	weights bytea[] NOT NULL
);
-- weights are floating-point numbers: compressing them only costs time
ALTER TABLE facerec_models ALTER COLUMN weights SET STORAGE EXTERNAL;

COMMENT ON TABLE facerec_models IS
	'networks that detect and embed faces; rows never change';
COMMENT ON COLUMN facerec_models.name IS
	'how SQL calls the model';
COMMENT ON COLUMN facerec_models.role IS
	'detector (finds faces and landmarks), embedder, or landmarks (finds them for a detector)';
COMMENT ON COLUMN facerec_models.preset IS
	'family of networks, which says how to feed and read it';
COMMENT ON COLUMN facerec_models.descriptor IS
	'everything about its use: the preset''s defaults and what the loader changed';
COMMENT ON COLUMN facerec_models.license IS
	'licence of the weights, as the loader stated it';
COMMENT ON COLUMN facerec_models.source IS
	'where the weights come from';
COMMENT ON COLUMN facerec_models.builtin IS
	'came with the extension, which has the weights';
COMMENT ON COLUMN facerec_models.loaded_at IS
	'when the model was loaded';
COMMENT ON COLUMN facerec_models.weights IS
	'the ONNX file, in pieces; for a model of several networks, its ONNX files; empty if builtin';
COMMENT ON COLUMN facerec_models.fingerprint IS
	'first 32 bits of the SHA-256 over weights, preset, dimensions and descriptor (of the models in it, the fingerprints); every embedding carries it';
COMMENT ON COLUMN facerec_models.dims IS
	'length of the embeddings, 0 for other roles';
COMMENT ON COLUMN facerec_models.sha256 IS
	'SHA-256 of the ONNX file; of several, over the SHA-256 of each';

-- anyone may see which models there are; the weights are the owner's
GRANT SELECT (name, fingerprint, role, preset, descriptor, dims, sha256,
	license, source, builtin, loaded_at) ON facerec_models TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('facerec_models',
	'WHERE NOT builtin');

CREATE FUNCTION facerec_models_guard() RETURNS trigger
	AS 'MODULE_PATHNAME', 'facerec_models_guard' LANGUAGE C;
COMMENT ON FUNCTION facerec_models_guard() IS
	'keeps facerec_models honest: refuses updates and rows whose hashes do not match';

REVOKE EXECUTE ON FUNCTION facerec_models_guard() FROM PUBLIC;

CREATE TRIGGER facerec_models_guard
	BEFORE INSERT OR UPDATE OR DELETE ON facerec_models
	FOR EACH ROW EXECUTE FUNCTION facerec_models_guard();
COMMENT ON TRIGGER facerec_models_guard ON facerec_models IS
	'keeps rows honest, and what backends know of the table fresh';
-- also for rows that arrive by replication
ALTER TABLE facerec_models ENABLE ALWAYS TRIGGER facerec_models_guard;

CREATE FUNCTION face_model_load(name text, weights bytea, preset text DEFAULT NULL,
	descriptor jsonb DEFAULT NULL, license text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'facerec_face_model_load'
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION face_model_load(text, bytea, text, jsonb, text) IS
	'check an ONNX model and add it to facerec_models; returns name@fingerprint';

CREATE FUNCTION face_model_load(name text, weights bytea[], preset text DEFAULT NULL,
	descriptor jsonb DEFAULT NULL, license text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'facerec_face_model_load_chunks'
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION face_model_load(text, bytea[], text, jsonb, text) IS
	'the same for a file in pieces, or for a model of several files';

CREATE FUNCTION face_model_drop(name text) RETURNS void
	AS 'MODULE_PATHNAME', 'facerec_face_model_drop'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION face_model_drop(text) IS
	'remove a model; embeddings made with it stay';

CREATE FUNCTION face_model_plan(model text, width int DEFAULT NULL,
	height int DEFAULT NULL, runs int DEFAULT 5,
	OUT step int, OUT network int, OUT layer text, OUT kernel text, OUT shape int[],
	OUT weight_bytes bigint, OUT flops float8, OUT estimated_ms float8,
	OUT measured_ms float8) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'facerec_face_model_plan'
	LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000 ROWS 100;
COMMENT ON FUNCTION face_model_plan(text, int, int, int) IS
	'the steps in which a model is computed for one picture; with what each should take and what it takes, in the median of that many runs (0: nothing is run)';

-- the query runs with the rights of the caller; only the new row does not
CREATE FUNCTION face_model_quantize(name text, new_name text,
	calibration_query text, aligned boolean DEFAULT false,
	min_cosine float8 DEFAULT 0.995, exclude text[] DEFAULT '{}',
	max_faces int DEFAULT 256) RETURNS text
	AS 'MODULE_PATHNAME', 'facerec_face_model_quantize'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION face_model_quantize(text, text, text, boolean, float8, text[], int) IS
	'add an 8-bit variant of a model, calibrated on the photos of a query; returns name@fingerprint';

REVOKE EXECUTE ON FUNCTION face_model_load(text, bytea, text, jsonb, text),
	face_model_load(text, bytea[], text, jsonb, text),
	face_model_quantize(text, text, text, boolean, float8, text[], int),
	face_model_drop(text) FROM PUBLIC;
