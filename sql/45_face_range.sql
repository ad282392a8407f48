-- Ranges of faces: all faces within a distance of a face. What an index can
-- search by; the planner makes such a range of embedding <=> face < distance.

CREATE TYPE face_range AS (face faceembedding, distance float8);
COMMENT ON TYPE face_range IS
	'the faces whose cosine distance from a face is at most a distance';
COMMENT ON COLUMN face_range.face IS 'centre of the range';
COMMENT ON COLUMN face_range.distance IS
	'greatest cosine distance from the centre';

CREATE FUNCTION face_within(face faceembedding, distance float8)
	RETURNS face_range
	AS 'MODULE_PATHNAME', 'facerec_face_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION face_within(faceembedding, float8) IS
	'range of the faces whose cosine distance from a face is at most a distance';

CREATE FUNCTION face_is_within(embedding faceembedding, range face_range)
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_face_is_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION face_is_within(faceembedding, face_range) IS
	'implementation of <@ operator';

CREATE FUNCTION face_range_contains(range face_range, embedding faceembedding)
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_face_range_contains'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION face_range_contains(face_range, faceembedding) IS
	'implementation of @> operator';

CREATE FUNCTION face_range_sel(internal, oid, internal, integer)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_range_sel'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION face_range_sel(internal, oid, internal, integer) IS
	'restriction selectivity of <@ and @> operators';

CREATE FUNCTION face_range_joinsel(internal, oid, internal, smallint, internal)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_range_joinsel'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION face_range_joinsel(internal, oid, internal, smallint, internal) IS
	'join selectivity of <@ and @> operators';

CREATE OPERATOR <@ (
	LEFTARG = faceembedding, RIGHTARG = face_range,
	FUNCTION = face_is_within, COMMUTATOR = @>,
	RESTRICT = face_range_sel, JOIN = face_range_joinsel
);
COMMENT ON OPERATOR <@ (faceembedding, face_range) IS
	'is the face in the range?';

CREATE OPERATOR @> (
	LEFTARG = face_range, RIGHTARG = faceembedding,
	FUNCTION = face_range_contains, COMMUTATOR = <@,
	RESTRICT = face_range_sel, JOIN = face_range_joinsel
);
COMMENT ON OPERATOR @> (face_range, faceembedding) IS
	'does the range contain the face?';
