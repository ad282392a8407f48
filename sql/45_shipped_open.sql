-- ---- thresholds that come with the extension ---------------------------------
-- The next file is the body of a function, which 46_shipped_close.sql ends, so
-- that the rows can be put back when they have been deleted.

CREATE FUNCTION facerec_thresholds_add() RETURNS void LANGUAGE sql VOLATILE
	PARALLEL UNSAFE
BEGIN ATOMIC
