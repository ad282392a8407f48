-- The settings "facerec.*": defaults, ranges, messages.
SELECT facerec_version() LIKE 'facerec %, isa %' AS loaded, length(facerec_cpu()) > 0 AS cpu;
SELECT name, boot_val, unit, context, vartype, min_val, max_val, enumvals
FROM pg_settings
WHERE name IN ('facerec.detector', 'facerec.embedder', 'facerec.fmr', 'facerec.detection_threshold',
	'facerec.detection_size', 'facerec.min_face_size', 'facerec.max_faces', 'facerec.on_error',
	'facerec.max_image_pixels', 'facerec.max_inference_memory', 'facerec.isa', 'facerec.weight_cache',
	'facerec.weight_cache_size')
ORDER BY name \gx

SET facerec.fmr = 0;
SET facerec.fmr = 1;
SET facerec.fmr = 2;
SET facerec.fmr = '1e-6';
SHOW facerec.fmr;
SET facerec.detection_threshold = -0.5;
SET facerec.detection_threshold = 0.9;
SET facerec.detection_threshold = -1;
SET facerec.detection_size = -1;
SET facerec.detection_size = 0;
SET facerec.max_faces = 0;
SET facerec.on_error = skip;
SET facerec.on_error = ignore;
SET facerec.max_inference_memory = '1GB';
SHOW facerec.max_inference_memory;
SET facerec.max_inference_memory = '1kB';
SET facerec.isa = sse2;
SET facerec.isa = generic;
SELECT facerec_version() LIKE '%, isa generic' AS is_generic;
SET facerec.isa = auto;
SELECT facerec_version() LIKE '%, isa auto' AS is_named_auto;
SET facerec.no_such_setting = 1;
RESET ALL;

-- only superusers lift the limit on image sizes
CREATE ROLE regress_facerec_user;
SET ROLE regress_facerec_user;
SET facerec.max_image_pixels = 1e9;
SET facerec.fmr = 1e-3;
RESET ROLE;
SET facerec.max_image_pixels = 1e9;
SET facerec.max_image_pixels = 0;
RESET ALL;
DROP ROLE regress_facerec_user;
