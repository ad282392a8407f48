-- The access method faceindex: identification, one face against many.

CREATE FUNCTION faceindex_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'facerec_faceindex_handler' LANGUAGE C;
COMMENT ON FUNCTION faceindex_handler(internal) IS
	'faceindex index access method handler';

CREATE ACCESS METHOD faceindex TYPE INDEX HANDLER faceindex_handler;
COMMENT ON ACCESS METHOD faceindex IS
	'index on face embeddings: finds the nearest faces';

CREATE FUNCTION faceembedding_match_distance(faceembedding) RETURNS float8
	AS 'MODULE_PATHNAME', 'facerec_faceembedding_match_distance'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION faceembedding_match_distance(faceembedding) IS
	'cosine distance up to which a face matches this one, at facerec.fmr';

CREATE OPERATOR CLASS faceembedding_ops
	DEFAULT FOR TYPE faceembedding USING faceindex AS
	OPERATOR 1 <=> (faceembedding, faceembedding) FOR ORDER BY float_ops,
	OPERATOR 2 <-> (faceembedding, faceembedding) FOR ORDER BY float_ops,
	OPERATOR 3 % (faceembedding, faceembedding),
	OPERATOR 4 <@ (faceembedding, face_range),
	FUNCTION 1 faceembedding_match_distance(faceembedding),
	FUNCTION 2 (faceembedding, faceembedding) face_within(faceembedding, float8);
COMMENT ON OPERATOR CLASS faceembedding_ops USING faceindex IS
	'order by distance, search by distance';
COMMENT ON OPERATOR FAMILY faceembedding_ops USING faceindex IS
	'order by distance, search by distance';

-- ---- filter columns ---------------------------------------------------------
-- USING faceindex (embedding, camera_id): types that are passed by value and
-- whose equal values have equal bytes; with an order those that compare as
-- integers.

CREATE OPERATOR FAMILY integer_ops USING faceindex;
COMMENT ON OPERATOR FAMILY integer_ops USING faceindex IS 'filter column';

CREATE OPERATOR CLASS int2_ops DEFAULT FOR TYPE int2
	USING faceindex FAMILY integer_ops AS
	OPERATOR 1 = (int2, int2), OPERATOR 2 < (int2, int2),
	OPERATOR 3 <= (int2, int2), OPERATOR 4 >= (int2, int2),
	OPERATOR 5 > (int2, int2);
CREATE OPERATOR CLASS int4_ops DEFAULT FOR TYPE int4
	USING faceindex FAMILY integer_ops AS
	OPERATOR 1 = (int4, int4), OPERATOR 2 < (int4, int4),
	OPERATOR 3 <= (int4, int4), OPERATOR 4 >= (int4, int4),
	OPERATOR 5 > (int4, int4);
CREATE OPERATOR CLASS int8_ops DEFAULT FOR TYPE int8
	USING faceindex FAMILY integer_ops AS
	OPERATOR 1 = (int8, int8), OPERATOR 2 < (int8, int8),
	OPERATOR 3 <= (int8, int8), OPERATOR 4 >= (int8, int8),
	OPERATOR 5 > (int8, int8);
COMMENT ON OPERATOR CLASS int2_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS int4_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS int8_ops USING faceindex IS 'filter column';
ALTER OPERATOR FAMILY integer_ops USING faceindex ADD
	OPERATOR 1 = (int2, int4), OPERATOR 2 < (int2, int4),
	OPERATOR 3 <= (int2, int4), OPERATOR 4 >= (int2, int4),
	OPERATOR 5 > (int2, int4),
	OPERATOR 1 = (int2, int8), OPERATOR 2 < (int2, int8),
	OPERATOR 3 <= (int2, int8), OPERATOR 4 >= (int2, int8),
	OPERATOR 5 > (int2, int8),
	OPERATOR 1 = (int4, int2), OPERATOR 2 < (int4, int2),
	OPERATOR 3 <= (int4, int2), OPERATOR 4 >= (int4, int2),
	OPERATOR 5 > (int4, int2),
	OPERATOR 1 = (int4, int8), OPERATOR 2 < (int4, int8),
	OPERATOR 3 <= (int4, int8), OPERATOR 4 >= (int4, int8),
	OPERATOR 5 > (int4, int8),
	OPERATOR 1 = (int8, int2), OPERATOR 2 < (int8, int2),
	OPERATOR 3 <= (int8, int2), OPERATOR 4 >= (int8, int2),
	OPERATOR 5 > (int8, int2),
	OPERATOR 1 = (int8, int4), OPERATOR 2 < (int8, int4),
	OPERATOR 3 <= (int8, int4), OPERATOR 4 >= (int8, int4),
	OPERATOR 5 > (int8, int4);

CREATE OPERATOR CLASS bool_ops DEFAULT FOR TYPE bool USING faceindex AS
	OPERATOR 1 = (bool, bool);
CREATE OPERATOR CLASS char_ops DEFAULT FOR TYPE "char" USING faceindex AS
	OPERATOR 1 = ("char", "char"), OPERATOR 2 < ("char", "char"),
	OPERATOR 3 <= ("char", "char"), OPERATOR 4 >= ("char", "char"),
	OPERATOR 5 > ("char", "char");
CREATE OPERATOR CLASS oid_ops DEFAULT FOR TYPE oid USING faceindex AS
	OPERATOR 1 = (oid, oid), OPERATOR 2 < (oid, oid),
	OPERATOR 3 <= (oid, oid), OPERATOR 4 >= (oid, oid),
	OPERATOR 5 > (oid, oid);
CREATE OPERATOR CLASS date_ops DEFAULT FOR TYPE date USING faceindex AS
	OPERATOR 1 = (date, date), OPERATOR 2 < (date, date),
	OPERATOR 3 <= (date, date), OPERATOR 4 >= (date, date),
	OPERATOR 5 > (date, date);
CREATE OPERATOR CLASS time_ops DEFAULT FOR TYPE time USING faceindex AS
	OPERATOR 1 = (time, time), OPERATOR 2 < (time, time),
	OPERATOR 3 <= (time, time), OPERATOR 4 >= (time, time),
	OPERATOR 5 > (time, time);
CREATE OPERATOR CLASS timestamp_ops DEFAULT FOR TYPE timestamp USING faceindex AS
	OPERATOR 1 = (timestamp, timestamp), OPERATOR 2 < (timestamp, timestamp),
	OPERATOR 3 <= (timestamp, timestamp), OPERATOR 4 >= (timestamp, timestamp),
	OPERATOR 5 > (timestamp, timestamp);
CREATE OPERATOR CLASS timestamptz_ops DEFAULT FOR TYPE timestamptz USING faceindex AS
	OPERATOR 1 = (timestamptz, timestamptz), OPERATOR 2 < (timestamptz, timestamptz),
	OPERATOR 3 <= (timestamptz, timestamptz), OPERATOR 4 >= (timestamptz, timestamptz),
	OPERATOR 5 > (timestamptz, timestamptz);
CREATE OPERATOR CLASS enum_ops DEFAULT FOR TYPE anyenum USING faceindex AS
	OPERATOR 1 = (anyenum, anyenum);
COMMENT ON OPERATOR CLASS bool_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR FAMILY bool_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS char_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR FAMILY char_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS oid_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR FAMILY oid_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS date_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR FAMILY date_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS time_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR FAMILY time_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS timestamp_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR FAMILY timestamp_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS timestamptz_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR FAMILY timestamptz_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR CLASS enum_ops USING faceindex IS 'filter column';
COMMENT ON OPERATOR FAMILY enum_ops USING faceindex IS 'filter column';

-- ---- looking into an index --------------------------------------------------

CREATE FUNCTION facerec_index_info(index regclass,
	OUT model text, OUT dims integer, OUT filters integer,
	OUT lists integer, OUT largest_list bigint,
	OUT rows bigint, OUT free_slots bigint,
	OUT rows_at_build bigint, OUT growth float8,
	OUT pages bigint, OUT routing_pages bigint, OUT code_pages bigint,
	OUT rerank_pages bigint, OUT free_pages bigint, OUT retired_pages bigint,
	OUT bytes_per_row float8, OUT recall float8, OUT lists_read integer,
	OUT format integer)
	AS 'MODULE_PATHNAME', 'facerec_facerec_index_info'
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION facerec_index_info(regclass) IS
	'what a faceindex holds: model, rows, lists, pages by kind, growth since it was built';

CREATE FUNCTION facerec_index_check(index regclass, heap boolean DEFAULT false,
	OUT block bigint, OUT problem text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'facerec_facerec_index_check'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION facerec_index_check(regclass, boolean) IS
	'what is wrong with a faceindex (no row: nothing); with heap, compares it with its table';
