-- The type faceembedding: input and output, casts, operators, classes for
-- btree and hash, aggregates; what the library says about itself.

CREATE TYPE faceembedding;

CREATE FUNCTION faceembedding_in(cstring, oid, integer) RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_in(cstring, oid, integer) IS 'I/O';

CREATE FUNCTION faceembedding_out(faceembedding) RETURNS cstring
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_out(faceembedding) IS 'I/O';

CREATE FUNCTION faceembedding_recv(internal, oid, integer) RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_recv(internal, oid, integer) IS 'I/O';

CREATE FUNCTION faceembedding_send(faceembedding) RETURNS bytea
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_send(faceembedding) IS 'I/O';

CREATE FUNCTION faceembedding_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_typmod_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_typmod_in(cstring[]) IS 'I/O typmod';

-- STORAGE main: inline in the row as long as the row fits a page, also where
-- a row exceeds 2 kB and PostgreSQL starts to move values out of line (other
-- columns go first); what does not fit (4,096 dimensions) is moved out.
-- "external" would move every embedding above 1,000 dimensions, "plain" would
-- refuse the largest.
CREATE TYPE faceembedding (
	INPUT = faceembedding_in,
	OUTPUT = faceembedding_out,
	RECEIVE = faceembedding_recv,
	SEND = faceembedding_send,
	TYPMOD_IN = faceembedding_typmod_in,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = main
);
COMMENT ON TYPE faceembedding IS
	'embedding of a face: a unit vector of 1 to 4096 dimensions in half precision, with the fingerprint of the model that made it';

-- ---- casts ------------------------------------------------------------------

CREATE FUNCTION faceembedding(faceembedding, integer, boolean) RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_enforce_typmod'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding(faceembedding, integer, boolean) IS
	'check the number of dimensions against the type modifier';

CREATE FUNCTION faceembedding_to_float4(faceembedding, integer, boolean) RETURNS real[]
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_to_float4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION faceembedding_to_float4(faceembedding, integer, boolean) IS
	'convert a face embedding to an array';

CREATE CAST (faceembedding AS faceembedding)
	WITH FUNCTION faceembedding(faceembedding, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (faceembedding AS faceembedding) IS
	'check the number of dimensions against the type modifier';

-- There is no cast from arrays, for they do not say which model made them:
-- face_embedding(real[], text).
CREATE CAST (faceembedding AS real[])
	WITH FUNCTION faceembedding_to_float4(faceembedding, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (faceembedding AS real[]) IS
	'the values of a face embedding, exactly as stored';

-- ---- what a value says ------------------------------------------------------

CREATE FUNCTION face_dims(embedding faceembedding) RETURNS integer
	AS 'MODULE_PATHNAME', 'facerec_face_dims'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION face_dims(faceembedding) IS
	'number of dimensions of a face embedding';

-- STABLE: the name belongs to the catalog, only the fingerprint to the value.
CREATE FUNCTION face_model(embedding faceembedding) RETURNS text
	AS 'MODULE_PATHNAME', 'facerec_face_model'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION face_model(faceembedding) IS
	'model that made a face embedding, as name@fingerprint';

-- ---- distances --------------------------------------------------------------

CREATE FUNCTION face_distance(a faceembedding, b faceembedding) RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION face_distance(faceembedding, faceembedding) IS
	'cosine distance of two face embeddings, 0 to 2';

CREATE FUNCTION face_similarity(a faceembedding, b faceembedding) RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_similarity'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION face_similarity(faceembedding, faceembedding) IS
	'cosine similarity of two face embeddings, -1 to 1';

CREATE FUNCTION face_l2_distance(a faceembedding, b faceembedding) RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_l2_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION face_l2_distance(faceembedding, faceembedding) IS
	'Euclidean distance of two face embeddings, 0 to 2';

CREATE FUNCTION face_l1_distance(a faceembedding, b faceembedding) RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_l1_distance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION face_l1_distance(faceembedding, faceembedding) IS
	'taxicab distance of two face embeddings';

CREATE FUNCTION face_negative_inner_product(a faceembedding, b faceembedding) RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_face_negative_inner_product'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION face_negative_inner_product(faceembedding, faceembedding) IS
	'negative inner product of two face embeddings, -1 to 1';

CREATE OPERATOR <=> (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = face_distance, COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (faceembedding, faceembedding) IS 'cosine distance';

CREATE OPERATOR <-> (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = face_l2_distance, COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (faceembedding, faceembedding) IS 'Euclidean distance';

CREATE OPERATOR <+> (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = face_l1_distance, COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (faceembedding, faceembedding) IS 'taxicab distance';

CREATE OPERATOR <#> (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = face_negative_inner_product, COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (faceembedding, faceembedding) IS 'negative inner product';

-- ---- total order: by fingerprint, dimensions, values ------------------------

CREATE FUNCTION faceembedding_lt(faceembedding, faceembedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_lt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_lt(faceembedding, faceembedding) IS
	'implementation of < operator';

CREATE FUNCTION faceembedding_le(faceembedding, faceembedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_le'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_le(faceembedding, faceembedding) IS
	'implementation of <= operator';

CREATE FUNCTION faceembedding_eq(faceembedding, faceembedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_eq(faceembedding, faceembedding) IS
	'implementation of = operator';

CREATE FUNCTION faceembedding_ne(faceembedding, faceembedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_ne(faceembedding, faceembedding) IS
	'implementation of <> operator';

CREATE FUNCTION faceembedding_ge(faceembedding, faceembedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_ge'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_ge(faceembedding, faceembedding) IS
	'implementation of >= operator';

CREATE FUNCTION faceembedding_gt(faceembedding, faceembedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_gt'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_gt(faceembedding, faceembedding) IS
	'implementation of > operator';

CREATE FUNCTION faceembedding_cmp(faceembedding, faceembedding) RETURNS integer
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_cmp'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION faceembedding_cmp(faceembedding, faceembedding) IS
	'less-equal-greater';

CREATE FUNCTION faceembedding_hash(faceembedding) RETURNS integer
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_hash'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION faceembedding_hash(faceembedding) IS 'hash';

CREATE FUNCTION faceembedding_hash_extended(faceembedding, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_hash_extended'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION faceembedding_hash_extended(faceembedding, bigint) IS 'hash';

CREATE OPERATOR < (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = faceembedding_lt, COMMUTATOR = >, NEGATOR = >=,
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (faceembedding, faceembedding) IS 'less than';

CREATE OPERATOR <= (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = faceembedding_le, COMMUTATOR = >=, NEGATOR = >,
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (faceembedding, faceembedding) IS 'less than or equal';

CREATE OPERATOR = (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = faceembedding_eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR = (faceembedding, faceembedding) IS 'equal';

CREATE OPERATOR <> (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = faceembedding_ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (faceembedding, faceembedding) IS 'not equal';

CREATE OPERATOR >= (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = faceembedding_ge, COMMUTATOR = <=, NEGATOR = <,
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (faceembedding, faceembedding) IS 'greater than or equal';

CREATE OPERATOR > (
	LEFTARG = faceembedding, RIGHTARG = faceembedding,
	FUNCTION = faceembedding_gt, COMMUTATOR = <, NEGATOR = <=,
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (faceembedding, faceembedding) IS 'greater than';

CREATE OPERATOR CLASS faceembedding_ops
	DEFAULT FOR TYPE faceembedding USING btree AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 faceembedding_cmp(faceembedding, faceembedding);
COMMENT ON OPERATOR CLASS faceembedding_ops USING btree IS
	'order by fingerprint, dimensions and values';
COMMENT ON OPERATOR FAMILY faceembedding_ops USING btree IS
	'order by fingerprint, dimensions and values';

CREATE OPERATOR CLASS faceembedding_ops
	DEFAULT FOR TYPE faceembedding USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 faceembedding_hash(faceembedding),
	FUNCTION 2 faceembedding_hash_extended(faceembedding, bigint);
COMMENT ON OPERATOR CLASS faceembedding_ops USING hash IS
	'equality of fingerprint and values';
COMMENT ON OPERATOR FAMILY faceembedding_ops USING hash IS
	'equality of fingerprint and values';

-- ---- aggregates -------------------------------------------------------------

CREATE FUNCTION faceembedding_avg_accum(internal, faceembedding) RETURNS internal
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_avg_accum'
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION faceembedding_avg_accum(internal, faceembedding) IS
	'aggregate transition function';

CREATE FUNCTION faceembedding_template_accum(internal, faceembedding, float8) RETURNS internal
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_template_accum'
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION faceembedding_template_accum(internal, faceembedding, float8) IS
	'aggregate transition function';

CREATE FUNCTION faceembedding_avg_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_avg_combine'
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION faceembedding_avg_combine(internal, internal) IS
	'aggregate combine function';

CREATE FUNCTION faceembedding_avg_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_avg_serialize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION faceembedding_avg_serialize(internal) IS
	'aggregate serial function';

CREATE FUNCTION faceembedding_avg_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_avg_deserialize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION faceembedding_avg_deserialize(bytea, internal) IS
	'aggregate deserial function';

CREATE FUNCTION faceembedding_avg_final(internal) RETURNS faceembedding
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_avg_final'
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 50;
COMMENT ON FUNCTION faceembedding_avg_final(internal) IS
	'aggregate final function';

CREATE AGGREGATE avg(faceembedding) (
	SFUNC = faceembedding_avg_accum, STYPE = internal, SSPACE = 4128,
	FINALFUNC = faceembedding_avg_final,
	COMBINEFUNC = faceembedding_avg_combine,
	SERIALFUNC = faceembedding_avg_serialize,
	DESERIALFUNC = faceembedding_avg_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(faceembedding) IS
	'mean direction of face embeddings: the template of a person';

CREATE AGGREGATE face_template(embedding faceembedding, weight float8) (
	SFUNC = faceembedding_template_accum, STYPE = internal, SSPACE = 4128,
	FINALFUNC = faceembedding_avg_final,
	COMBINEFUNC = faceembedding_avg_combine,
	SERIALFUNC = faceembedding_avg_serialize,
	DESERIALFUNC = faceembedding_avg_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE face_template(faceembedding, float8) IS
	'weighted mean direction of face embeddings, for example by quality';

-- ---- the library ------------------------------------------------------------

CREATE FUNCTION facerec_version() RETURNS text
	AS 'MODULE_PATHNAME', 'facerec_facerec_version'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION facerec_version() IS
	'versions of facerec and its libraries, and the instruction set in use';

CREATE FUNCTION facerec_cpu() RETURNS text
	AS 'MODULE_PATHNAME', 'facerec_facerec_cpu'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION facerec_cpu() IS
	'CPU of the server and the instruction sets that facerec can use';

