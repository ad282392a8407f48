-- ---- from photos to faces -------------------------------------------------
-- With a model named, a function depends on nothing but its arguments:
-- detector, thresholds and sizes come from the model's descriptor.  Without,
-- the settings facerec.* decide.  COST makes the planner evaluate them last
-- and consider parallel plans.

CREATE FUNCTION face_detect(image bytea,
	OUT face_no int, OUT box box, OUT score real, OUT quality real,
	OUT landmarks point[], OUT yaw real, OUT pitch real, OUT roll real)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'facerec_face_detect'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 ROWS 3;
COMMENT ON FUNCTION face_detect(bytea) IS
	'faces of a photo, largest first; detector of facerec.detector';

CREATE FUNCTION face_detect(image bytea, model text,
	OUT face_no int, OUT box box, OUT score real, OUT quality real,
	OUT landmarks point[], OUT yaw real, OUT pitch real, OUT roll real)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'facerec_face_detect'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 3;
COMMENT ON FUNCTION face_detect(bytea, text) IS
	'faces of a photo, largest first, by a given detector';

CREATE FUNCTION face_embed(image bytea) RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_face_embed'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_embed(bytea) IS
	'embedding of the largest face, NULL when there is none; models of facerec.embedder and facerec.detector';

CREATE FUNCTION face_embed(image bytea, model text) RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_face_embed'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_embed(bytea, text) IS
	'embedding of the largest face by a given model, NULL when there is none';

CREATE FUNCTION face_embed(image bytea, face box) RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_face_embed_box'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_embed(bytea, box) IS
	'embedding of the face in a region of a photo, NULL when there is none';

CREATE FUNCTION face_embed(image bytea, face box, model text)
	RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_face_embed_box'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_embed(bytea, box, text) IS
	'embedding of the face in a region of a photo by a given model';

CREATE FUNCTION face_embed_aligned(crop bytea) RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_face_embed_aligned'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_embed_aligned(bytea) IS
	'embedding of a picture that already is an aligned crop of the model''s size';

CREATE FUNCTION face_embed_aligned(crop bytea, model text)
	RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_face_embed_aligned'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_embed_aligned(bytea, text) IS
	'embedding of an aligned crop by a given model';

CREATE FUNCTION face_embed_all(image bytea,
	OUT face_no int, OUT box box, OUT score real, OUT quality real,
	OUT landmarks point[], OUT embedding faceembedding)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'facerec_face_embed_all'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 ROWS 3;
COMMENT ON FUNCTION face_embed_all(bytea) IS
	'all faces of a photo with their embeddings, largest first';

CREATE FUNCTION face_embed_all(image bytea, model text,
	OUT face_no int, OUT box box, OUT score real, OUT quality real,
	OUT landmarks point[], OUT embedding faceembedding)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'facerec_face_embed_all'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 3;
COMMENT ON FUNCTION face_embed_all(bytea, text) IS
	'all faces of a photo with their embeddings by a given model';

CREATE FUNCTION face_embedding("values" real[], model text)
	RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_face_embedding'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION face_embedding(real[], text) IS
	'embedding from a vector that the same model gave elsewhere';

-- ---- pictures -------------------------------------------------------------

CREATE FUNCTION face_image_info(image bytea,
	OUT format text, OUT width int, OUT height int, OUT orientation int,
	OUT channels int, OUT bit_depth int, OUT progressive boolean)
	AS 'MODULE_PATHNAME', 'facerec_face_image_info'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION face_image_info(bytea) IS
	'what the header of a picture says; NULLs for what cannot be read';

CREATE FUNCTION face_image_error(image bytea) RETURNS text
	AS 'MODULE_PATHNAME', 'facerec_face_image_error'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_image_error(bytea) IS
	'why a picture cannot be decoded, NULL when it can; reads it to its end';

CREATE FUNCTION face_crop(image bytea, face box, margin real DEFAULT 0)
	RETURNS bytea
	AS 'MODULE_PATHNAME', 'facerec_face_crop'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_crop(bytea, box, real) IS
	'a region of a picture as JPEG, widened on all sides by margin times its size';

CREATE FUNCTION face_align(image bytea, landmarks point[],
	size int DEFAULT 112) RETURNS bytea
	AS 'MODULE_PATHNAME', 'facerec_face_align'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_align(bytea, point[], int) IS
	'an upright, centred face as JPEG, from its five landmarks';

CREATE FUNCTION face_draw(image bytea, boxes box[]) RETURNS bytea
	AS 'MODULE_PATHNAME', 'facerec_face_draw'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_draw(bytea, box[]) IS
	'the picture with boxes drawn on it, as JPEG';

CREATE FUNCTION face_draw(image bytea, boxes box[], labels text[])
	RETURNS bytea
	AS 'MODULE_PATHNAME', 'facerec_face_draw'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION face_draw(bytea, box[], text[]) IS
	'the picture with boxes and their labels drawn on it, as JPEG';
