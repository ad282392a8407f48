END;
COMMENT ON FUNCTION facerec_thresholds_add() IS
	'part of facerec_thresholds_install, which see';

-- A script that updates the extension to a version with other rows makes the
-- function above anew and calls this one.
CREATE FUNCTION facerec_thresholds_install() RETURNS void
	AS 'MODULE_PATHNAME', 'facerec_thresholds_install'
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION facerec_thresholds_install() IS
	'put the thresholds that come with the extension into facerec_thresholds, beside those from elsewhere';

REVOKE EXECUTE ON FUNCTION facerec_thresholds_add(),
	facerec_thresholds_install() FROM PUBLIC;

SELECT facerec_thresholds_install();
