/*
 * settings.c: the settings "facerec.*": names, ranges, units, checks.
 */
#include "pg/settings.h"

#include <limits.h> /* MAX_KILOBYTES */

#include "pg/builtin_models.h"
#include "utils/guc.h"

char *fr_setting_detector;
char *fr_setting_embedder;
double fr_setting_detection_threshold;
int fr_setting_detection_size;
int fr_setting_min_face_size;
int fr_setting_max_faces;
int fr_setting_on_error;
double fr_setting_max_image_pixels;
int fr_setting_max_inference_memory;
double fr_setting_fmr;
bool fr_setting_weight_cache;
int fr_setting_weight_cache_size;

/* The value of facerec.isa, and the kernels it stands for. */
static int setting_isa;
static const FrKernels *kernels;

static const struct config_enum_entry on_error_options[] = {
	{"stop", FR_ON_ERROR_STOP, false},
	{"ignore", FR_ON_ERROR_IGNORE, false},
	{NULL, 0, false}};

/* The index of an entry is its value.  Instruction sets, and the tables of
 * AVX-512 by name, for who wants the same bits on CPUs of all vendors. */
static const struct config_enum_entry isa_options[] = {
	{"auto", 0, false},			{"avx512", 1, false},
	{"avx512-pairs", 2, false}, {"avx512-vnni", 3, false},
	{"avx512-fma", 4, false},	{"avx2", 5, false},
	{"generic", 6, false},		{NULL, 0, false}};

const FrKernels *
fr_setting_kernels(void)
{
	return kernels;
}

static bool
check_isa(int *new_value, void **extra, GucSource source)
{
	const char *isa = isa_options[*new_value].name;

	if (fr_kernels_by_name(isa))
		return true;
	GUC_check_errdetail("This CPU cannot run the instruction set \"%s\".", isa);
	GUC_check_errhint("Use \"auto\" for the best one that it can run.");
	return false;
}

static void
assign_isa(int new_value, void *extra)
{
	kernels = fr_kernels_by_name(isa_options[new_value].name);
}

bool
fr_setting_is_detector_set(void)
{
	return fr_setting_detector && fr_setting_detector[0] &&
		   strcmp(fr_setting_detector, FR_BUILTIN_DETECTOR) != 0;
}

static bool
check_fmr(double *new_value, void **extra, GucSource source)
{
	if (*new_value > 0.0 && *new_value < 1.0)
		return true;
	GUC_check_errdetail(
		"A false match rate must be greater than 0 and less than 1.");
	return false;
}

static bool
check_detection_threshold(double *new_value, void **extra, GucSource source)
{
	if (*new_value >= 0.0 || *new_value == -1.0)
		return true;
	GUC_check_errdetail("A threshold must be between 0 and 1, or -1 for the "
						"one of the model.");
	return false;
}

/* Which models, and what they look for. */
static void
define_detection_settings(void)
{
	DefineCustomStringVariable(
		"facerec.detector",
		"Sets the model that finds faces, when a call does not name one.",
		"With the default, an embedder uses the detector that it names.",
		&fr_setting_detector, FR_BUILTIN_DETECTOR, PGC_USERSET, 0, NULL, NULL,
		NULL);

	DefineCustomStringVariable(
		"facerec.embedder",
		"Sets the model that makes embeddings, when a call does not name one.",
		NULL, &fr_setting_embedder, FR_BUILTIN_EMBEDDER, PGC_USERSET, 0, NULL,
		NULL, NULL);

	DefineCustomRealVariable(
		"facerec.detection_threshold",
		"Sets the score above which a detection counts as a face.",
		"-1 stands for the threshold of the model.",
		&fr_setting_detection_threshold, -1.0, -1.0, 1.0, PGC_USERSET, 0,
		check_detection_threshold, NULL, NULL);

	DefineCustomIntVariable(
		"facerec.detection_size",
		"Sets the longest side, in pixels, of the picture that the detector "
		"sees.",
		"Larger images are reduced to it; 0 keeps every image at its own size.",
		&fr_setting_detection_size, 1280, 0, 65535, PGC_USERSET, 0, NULL, NULL,
		NULL);

	DefineCustomIntVariable(
		"facerec.min_face_size",
		"Sets the shorter side, in pixels of the image, below which faces are "
		"dropped.",
		NULL, &fr_setting_min_face_size, 20, 0, 65535, PGC_USERSET, 0, NULL,
		NULL, NULL);

	DefineCustomIntVariable(
		"facerec.max_faces",
		"Sets how many faces of an image are kept, the largest first.", NULL,
		&fr_setting_max_faces, 100, 1, 10000, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomRealVariable(
		"facerec.fmr",
		"Sets the false match rate at which two faces count as the same "
		"person.",
		"The share of pairs of strangers that match.", &fr_setting_fmr, 1e-4,
		0.0, 1.0, PGC_USERSET, 0, check_fmr, NULL, NULL);
}

/* Limits, errors, machine. */
static void
define_resource_settings(void)
{
	DefineCustomEnumVariable(
		"facerec.on_error", "Sets what an image that cannot be decoded does.",
		"\"stop\" raises an error; \"ignore\" raises a warning and yields NULL "
		"or no rows.",
		&fr_setting_on_error, FR_ON_ERROR_STOP, on_error_options, PGC_USERSET,
		0, NULL, NULL, NULL);

	DefineCustomRealVariable(
		"facerec.max_image_pixels",
		"Sets the number of pixels above which an image is refused.",
		"Checked on the header of the image, before memory is taken.",
		&fr_setting_max_image_pixels, 1e8, 1.0, 1e10, PGC_SUSET, 0, NULL, NULL,
		NULL);

	DefineCustomIntVariable(
		"facerec.max_inference_memory",
		"Sets the maximum memory for running a model on one image.", NULL,
		&fr_setting_max_inference_memory, 2 * 1024 * 1024, 1024, MAX_KILOBYTES,
		PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);

	DefineCustomEnumVariable(
		"facerec.isa", "Sets the instruction set that the kernels use.",
		"\"auto\" takes the best one of this CPU.", &setting_isa, 0,
		isa_options, PGC_USERSET, 0, check_isa, assign_isa, NULL);
}

/* Files of packed weights (weight_cache.h). */
static void
define_cache_settings(void)
{
	DefineCustomBoolVariable(
		"facerec.weight_cache",
		"Shares the packed weights of models among all processes.",
		"They are kept in files in the data directory, which every process "
		"maps.",
		&fr_setting_weight_cache, true, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"facerec.weight_cache_size",
		"Sets the total size of the files of packed weights.",
		"The files used longest ago are removed; 0 writes none.",
		&fr_setting_weight_cache_size, 8 * 1024, 0, INT_MAX, PGC_SUSET,
		GUC_UNIT_MB, NULL, NULL, NULL);
}

void
fr_settings_init(void)
{
	kernels = fr_kernels_best();
	define_detection_settings();
	define_resource_settings();
	define_cache_settings();
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("facerec");
#else
	EmitWarningsOnPlaceholders("facerec");
#endif
}
