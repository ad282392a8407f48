-- ---- the models that come with the extension --------------------------------
-- Their weights are in the library.  A script that updates the extension to a
-- version with other networks calls this function, too.

CREATE FUNCTION facerec_models_install() RETURNS void
	AS 'MODULE_PATHNAME', 'facerec_models_install'
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION facerec_models_install() IS
	'add the models that are part of the library to facerec_models, in place of those of another version';

REVOKE EXECUTE ON FUNCTION facerec_models_install() FROM PUBLIC;

SELECT facerec_models_install();
