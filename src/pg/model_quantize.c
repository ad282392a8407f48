/*
 * model_quantize.c: face_model_quantize, an int8 variant of a model,
 * calibrated on the user's own photos.
 *
 * The calibration query runs with the rights and settings of the caller, one
 * photo at a time (a SELECT; but functions in it may do anything).  What is
 * kept of a photo are the 8-bit crops (or, for a detector, the reduced
 * photo).  About one photo in four does not calibrate but is held out, to
 * measure the result on.  Only the row of the result is written with the
 * rights of the table's owner.  All is one statement: an error or a cancel
 * leaves nothing behind.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "core/face/samples.h"
#include "core/nn/quantize.h"
#include "core/onnx/import.h"
#include "core/onnx/write.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pg/catalog.h"
#include "pg/errors.h"
#include "pg/face_models.h"
#include "pg/image_call.h"
#include "pg/memory.h"
#include "pg/model_cache.h"
#include "pg/model_descriptor.h"
#include "pg/models.h"
#include "tcop/cmdtag.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model_quantize);

/* Below: ERROR. */
#define FEWEST_CALIBRATING 8
#define FEWEST_HELD_OUT	   2
#define FEWEST_SAMPLES	   (FEWEST_CALIBRATING + FEWEST_HELD_OUT)

/* Below: WARNING. */
#define RECOMMENDED_SAMPLES 32
#define RECOMMENDED_COSINE	0.995

#define MOST_SAMPLES   100000
#define HELD_OUT_SHARE 4 /* one sample of so many */
#define NAMED_LAYERS   6 /* of those that stay float32, in a message */

/* Pictures that are kept: for calibrating, and their share for measuring. */
#define MAX_PICTURE_BYTES  ((size_t) 128 * 1024 * 1024)
#define MAX_HELD_OUT_BYTES (MAX_PICTURE_BYTES / (HELD_OUT_SHARE - 1))

#define METHOD                                                            \
	"uint8 activations, ranges of least squared error; int8 weights per " \
	"output channel; biases corrected"

/* A photo by a hash of its bytes: copies belong to the same part, so that
 * none measures what it calibrated. */
typedef struct Photo
{
	uint64 hash;
	bool is_held_out;
} Photo;

typedef struct Job
{
	/* arguments */
	const char *new_name;
	const char *query;
	bool is_aligned;
	int most_samples;
	FrQuantizeOptions options;

	/* the model */
	FrModelRow row;
	char label[FR_MODEL_LABEL_BYTES];
	FrModelDescriptor descriptor;
	FrModelContents contents;
	char *license; /* or NULL */
	FrGraph graph;

	FrAllocator allocator; /* lives as long as the call */
	FrNetOptions net;
	FrSampleSet calibration, held_out;
	HTAB *photos; /* that gave samples: Photo */
	uint64 row_count;
	FrQuantizeReport report;
	void *onnx; /* the result */
	size_t onnx_bytes;
} Job;

/* What the samples are, in messages. */
static const char *
samples_name(const Job *job)
{
	return job->descriptor.core.role == FR_ROLE_DETECTOR ? "photos" : "faces";
}

static int
sample_count(const Job *job)
{
	return job->calibration.count + job->held_out.count;
}

pg_noreturn static void
fail(const Job *job, FrStatus status, const FrError *error)
{
	fr_raise(status, error,
			 psprintf("could not quantize face model \"%s\"", job->row.name),
			 status == FR_ERR_LIMIT ? "Raise facerec.max_inference_memory."
									: NULL);
	pg_unreachable();
}

/* ---- arguments ---------------------------------------------------------- */

static void
read_excluded(Job *job, ArrayType *names)
{
	Datum *elements;
	bool *nulls;
	int count;
	const char **excluded;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &count);
	excluded = palloc(sizeof(*excluded) * (Size) (count + 1));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("array must not contain nulls")));
		excluded[i] = TextDatumGetCString(elements[i]);
	}
	job->options.excluded = excluded;
	job->options.excluded_count = count;
}

static void
check_not_null(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {
		"name",		  "new_name", "calibration_query", "aligned",
		"min_cosine", "exclude",  "max_faces",
	};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("%s of face_model_quantize must not be null",
								   names[i])));
}

static void
read_arguments(FunctionCallInfo fcinfo, Job *job)
{
	double agreement = PG_GETARG_FLOAT8(4);

	job->new_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	job->query = text_to_cstring(PG_GETARG_TEXT_PP(2));
	job->is_aligned = PG_GETARG_BOOL(3);
	job->most_samples = PG_GETARG_INT32(6);
	job->options.min_agreement = agreement;
	job->options.net = &job->net;
	fr_model_check_name(job->new_name);
	if (!(agreement >= 0 && agreement <= 1))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("min_cosine must be between 0 and 1")));
	if (job->most_samples < FEWEST_SAMPLES || job->most_samples > MOST_SAMPLES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_faces must be between %d and %d",
							   FEWEST_SAMPLES, MOST_SAMPLES)));
	read_excluded(job, PG_GETARG_ARRAYTYPE_P(5));
}

/* ---- the model ---------------------------------------------------------- */

/* The licence of the weights holds for the variant, too. */
static char *
read_license(const FrModelRow *row)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(psprintf("%08x", row->fingerprint))};
	Oid table = fr_catalog_table();
	char *query = psprintf(
		"SELECT license FROM %s.facerec_models WHERE fingerprint "
		"OPERATOR(pg_catalog.=) $1",
		quote_identifier(get_namespace_name(get_rel_namespace(table))));

	if (SPI_execute_with_args(query, 1, types, values, NULL, true, 1) !=
			SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not read facerec_models");
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

static void
check_model(const Job *job)
{
	const char *name = job->row.name;

	if (job->descriptor.core.graph_count != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not quantize face model \"%s\"", name),
				 errdetail("Models of several networks are not supported.")));
	if (job->descriptor.core.role != FR_ROLE_DETECTOR &&
		job->descriptor.core.role != FR_ROLE_EMBEDDER && !job->is_aligned)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not quantize face model \"%s\"", name),
				 errdetail("Only detectors and embedders can be calibrated on "
						   "whole photos."),
				 errhint("Let the query return crops of %d x %d pixels, with "
						 "aligned => true.",
						 job->descriptor.core.input_width,
						 job->descriptor.core.input_height)));
	if (job->descriptor.core.role == FR_ROLE_DETECTOR && job->is_aligned)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a detector is calibrated on whole photos, not "
							   "on aligned crops")));
}

static void
check_new_name(const Job *job)
{
	FrModelRow other;

	if (fr_catalog_find_name(job->new_name, &other))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("face model \"%s\" already exists", job->new_name),
				 errhint("Drop it with face_model_drop('%s'), or choose "
						 "another name.",
						 job->new_name)));
}

/* Before the query runs: excluded names are those of layers. */
static void
check_layers(const Job *job)
{
	MemoryContext memory = AllocSetContextCreate(
		CurrentMemoryContext, "facerec layers", ALLOCSET_DEFAULT_SIZES);
	FrAllocator allocator = fr_pg_allocator(memory);
	FrCancel cancel = fr_pg_cancel();
	FrShape shape =
		fr_graph_input_shape(&job->graph, &job->descriptor.core, 0, 0, 0);
	FrError error;
	FrStatus status;

	/* Not every interrupt is a user's wish to stop. */
	while ((status = fr_quantize_check(&job->graph, &shape, &job->options,
									   &cancel, &allocator, &error)) ==
		   FR_ERR_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (status == FR_ERR_ARGUMENT)
		fr_raise(status, &error, "invalid list of layers to exclude",
				 psprintf("face_model_plan('%s', runs => 0) shows their names.",
						  job->row.name));
	if (status != FR_OK)
		fail(job, status, &error);
	MemoryContextDelete(memory);
}

static FrStatus
open_sets(Job *job, FrError *error)
{
	int held_out = job->most_samples / HELD_OUT_SHARE;
	FrStatus status =
		fr_sample_set_init(&job->calibration, &job->graph,
						   &job->descriptor.core, job->most_samples - held_out,
						   MAX_PICTURE_BYTES, &job->allocator, error);

	if (status == FR_OK)
		status = fr_sample_set_init(&job->held_out, &job->graph,
									&job->descriptor.core, held_out,
									MAX_HELD_OUT_BYTES, &job->allocator, error);
	return status;
}

static void
open_model(Job *job, const char *reference)
{
	FrError error;

	fr_catalog_resolve(reference, &job->row);
	fr_catalog_format_label(job->label, job->row.name, job->row.fingerprint);
	check_new_name(job);
	if (!fr_preset_find(job->row.preset, &job->descriptor.core) ||
		!fr_catalog_read(&job->row, CurrentMemoryContext, &job->contents))
		elog(ERROR, "could not read face model \"%s\"", job->row.name);
	fr_model_descriptor_apply(job->contents.descriptor, &job->descriptor);
	check_model(job);

	FrStatus status = fr_onnx_import(job->contents.files.bytes,
									 job->contents.files.total_bytes,
									 &job->allocator, &job->graph, &error);

	if (status == FR_OK && fr_quantize_is_quantized(&job->graph))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("face model \"%s\" is quantized already",
							   job->row.name),
						errhint("Quantize the model that it was made from.")));
	if (status == FR_OK)
		status = open_sets(job, &error);
	if (status != FR_OK)
		fail(job, status, &error);
	check_layers(job);
}

/* ---- photos ------------------------------------------------------------- */

static FrStatus
attempt_crop(FrSampleSet *set, FrCall *call)
{
	FrImage crop;
	FrStatus status = fr_call_decode(call, 1, &crop);

	if (status != FR_OK)
		return status;
	status = fr_sample_set_add_crop(set, &crop, &call->error);
	fr_image_destroy(&crop);
	return status;
}

static FrStatus
attempt_photo(FrSampleSet *set, FrCall *call, const FrFaceModels *models)
{
	FrDetector detector = fr_face_models_get_detector(models);
	FrPhotoOptions options = {
		.max_pixels = fr_call_max_pixels(),
		.detection_size = models->detection.detection_size,
		.cancel = call->cancel,
	};
	FrPhoto *photo;

	call->is_image_at_fault = true;

	FrStatus status = fr_photo_open(call->image, call->image_bytes, &options,
									&call->allocator, &photo, &call->error);

	call->is_image_at_fault = status != FR_OK;
	if (status != FR_OK)
		return status;
	status = fr_sample_set_add_photo(set, photo, &detector, &call->error);
	fr_photo_close(photo);
	return status;
}

static void
open_photos(Job *job)
{
	HASHCTL control = {.keysize = sizeof(uint64),
					   .entrysize = sizeof(Photo),
					   .hcxt = CurrentMemoryContext};

	job->photos = hash_create("facerec calibration photos", 256, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Where the samples of a photo that was not seen before go. */
static FrSampleSet *
next_set(Job *job)
{
	bool is_due = job->calibration.count >=
				  (HELD_OUT_SHARE - 1) * ((int64) job->held_out.count + 1);

	if (fr_sample_set_is_full(&job->calibration))
		return &job->held_out;
	return is_due && !fr_sample_set_is_full(&job->held_out) ? &job->held_out
															: &job->calibration;
}

/* Where the samples of this photo go: where those of its last copy went. */
static FrSampleSet *
choose_set(Job *job, uint64 hash)
{
	const Photo *photo = hash_search(job->photos, &hash, HASH_FIND, NULL);

	if (!photo)
		return next_set(job);
	return photo->is_held_out ? &job->held_out : &job->calibration;
}

static void
note_photo(Job *job, uint64 hash, const FrSampleSet *set)
{
	Photo *photo = hash_search(job->photos, &hash, HASH_ENTER, NULL);

	photo->is_held_out = set == &job->held_out;
}

/* ERROR: a crop of the wrong size. */
static void
fail_crop(const Job *job, const FrError *error)
{
	int width = job->descriptor.core.input_width;
	int height = job->descriptor.core.input_height;

	fr_raise(
		FR_ERR_MISMATCH, error,
		psprintf("could not calibrate face model \"%s\"", job->row.name),
		width == height
			? psprintf("face_align(image, landmarks, %d) makes such crops.",
					   width)
			: NULL);
}

/* Take the samples of one photo. */
static void
add_photo(Job *job, Datum photo)
{
	FrFaceModels models = {0};
	FrStatus status;
	FrCall call;

	fr_call_begin(&call, photo);

	uint64 hash = hash_bytes_extended(call.image, (int) call.image_bytes, 0);
	FrSampleSet *set = choose_set(job, hash);
	int before = set->count;

	if (fr_sample_set_is_full(set))
	{
		fr_call_end(&call);
		return;
	}
	/* The query may have used other models since the last photo. */
	if (!job->is_aligned && job->row.role == FR_ROLE_DETECTOR)
		fr_face_models_detector(&models, job->label);
	else if (!job->is_aligned)
		fr_face_models_both(&models, job->label);
	do
	{
		fr_sample_set_truncate(set, before);
		status = job->is_aligned ? attempt_crop(set, &call)
								 : attempt_photo(set, &call, &models);
	} while (fr_call_is_interrupted(&call, status));
	if (status != FR_OK)
	{
		fr_sample_set_truncate(set, before);
		if (job->is_aligned && status == FR_ERR_MISMATCH)
			fail_crop(job, &call.error);
		fr_call_fail(
			&call, status,
			psprintf("could not calibrate face model \"%s\"", job->row.name),
			"Raise facerec.max_inference_memory.");
	}
	if (set->count > before)
		note_photo(job, hash, set);
	fr_model_cache_end();
	fr_call_end(&call);
}

static bool
is_plain_select(List *sources)
{
	CachedPlanSource *source = linitial(sources);

	if (list_length(sources) != 1 || source->commandTag != CMDTAG_SELECT ||
		list_length(source->query_list) != 1)
		return false;

	const Query *query = linitial_node(Query, source->query_list);

	return !query->hasModifyingCTE && query->rowMarks == NIL;
}

/* A cursor over the calibration query; ERROR unless it is a SELECT whose
 * first column is bytea. */
static Portal
open_query(const Job *job)
{
	SPIPlanPtr plan = SPI_prepare(job->query, 0, NULL);

	if (!plan || !SPI_is_cursor_plan(plan) ||
		!is_plain_select(SPI_plan_get_plan_sources(plan)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the calibration query must be one SELECT that "
							   "changes and locks nothing")));

	Portal portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	TupleDesc columns = portal->tupDesc;
	Oid type = columns->natts > 0
				   ? getBaseType(TupleDescAttr(columns, 0)->atttypid)
				   : InvalidOid;

	if (type != BYTEAOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the first column of the calibration query must be "
						"of type bytea"),
				 OidIsValid(type)
					 ? errdetail("It is of type %s.", format_type_be(type))
					 : 0));
	return portal;
}

static void
name_row(void *job)
{
	errcontext("row " UINT64_FORMAT " of the calibration query",
			   ((const Job *) job)->row_count);
}

static void
collect(Job *job)
{
	Portal portal = open_query(job);
	ErrorContextCallback context = {
		.previous = error_context_stack, .callback = name_row, .arg = job};

	while (!fr_sample_set_is_full(&job->calibration) ||
		   !fr_sample_set_is_full(&job->held_out))
	{
		SPI_cursor_fetch(portal, true, 1);

		SPITupleTable *rows = SPI_tuptable;
		bool is_null;

		if (SPI_processed == 0)
			break;

		Datum photo = SPI_getbinval(rows->vals[0], rows->tupdesc, 1, &is_null);

		job->row_count++;
		if (!is_null)
		{
			error_context_stack = &context;
			add_photo(job, photo);
			error_context_stack = context.previous;
		}
		SPI_freetuptable(rows);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
}

static void
check_samples(const Job *job)
{
	int count = sample_count(job);
	const char *samples = samples_name(job);

	if (job->calibration.count < FEWEST_CALIBRATING ||
		job->held_out.count < FEWEST_HELD_OUT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the calibration query gave too few %s",
						count < FEWEST_SAMPLES ? samples : "photos"),
				 errdetail("Rows: " UINT64_FORMAT
						   "; different photos that gave %s: %d; "
						   "%s: %d.  At least %d have to calibrate the model, "
						   "and %d of other photos to measure it.",
						   job->row_count, samples,
						   (int) hash_get_num_entries(job->photos), samples,
						   count, FEWEST_CALIBRATING, FEWEST_HELD_OUT),
				 count < FEWEST_SAMPLES
					 ? errhint("Let it return photos with %d %s or more, as "
							   "they come in use.",
							   RECOMMENDED_SAMPLES, samples)
					 : errhint("Let it return more photos; copies count as "
							   "one.")));
	if (count < RECOMMENDED_SAMPLES)
		ereport(
			WARNING,
			(errmsg("the calibration query gave only %d %s", count, samples),
			 errdetail("The ranges of the 8-bit numbers are set by what "
					   "these show."),
			 errhint("With %d or more the result will be better.",
					 RECOMMENDED_SAMPLES)));
}

/* ---- the variant -------------------------------------------------------- */

static FrStatus
attempt_quantize(Job *job, const FrAllocator *allocator, FrError *error)
{
	FrSamples samples = fr_sample_set_samples(&job->calibration);
	FrSamples held_out = fr_sample_set_samples(&job->held_out);
	FrCancel cancel = fr_pg_cancel();
	FrGraph graph;

	job->options.held_out = &held_out;

	FrStatus status = fr_quantize(&job->graph, &samples, &job->options, &cancel,
								  allocator, &graph, &job->report, error);

	if (status != FR_OK)
		return status;

	const FrOnnxProperty properties[] = {
		{"facerec.source", job->label},
		{"facerec.samples", psprintf("%d", sample_count(job))},
		{"facerec.method", METHOD},
		{"facerec.layers", psprintf("%d of %d", job->report.quantized_count,
									job->report.layer_count)},
		{"facerec.cosine", psprintf("%.6f", job->report.mean_agreement)},
	};

	return fr_onnx_write(&graph, properties, lengthof(properties), allocator,
						 &job->onnx, &job->onnx_bytes, error);
}

/* The result is in the memory of the last attempt, a child of the caller's. */
static void
quantize(Job *job)
{
	MemoryContext memory = AllocSetContextCreate(
		CurrentMemoryContext, "facerec quantization", ALLOCSET_DEFAULT_SIZES);
	FrAllocator allocator = fr_pg_allocator(memory);
	FrError error;
	FrStatus status;

	/* Not every interrupt is a user's wish to stop. */
	while ((status = attempt_quantize(job, &allocator, &error)) ==
		   FR_ERR_CANCELLED)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(memory);
	}
	if (status != FR_OK)
		fail(job, status, &error);
}

static char *
store(const Job *job)
{
	const FrQuantizeReport *report = &job->report;
	FrModelDescriptor descriptor = job->descriptor;

	descriptor.origin = (FrModelOrigin){
		.photos = (int) hash_get_num_entries(job->photos),
		.samples = sample_count(job),
		.layers = report->quantized_count,
		.float_layers = report->layer_count - report->quantized_count,
		.cosine = (float) report->mean_agreement,
		.least_cosine = (float) report->least_agreement,
	};
	snprintf(descriptor.origin.fingerprint,
			 sizeof(descriptor.origin.fingerprint), "%08x",
			 job->row.fingerprint);

	FrModelDraft draft = {
		.name = job->new_name,
		.preset = job->row.preset,
		.descriptor = fr_model_descriptor_to_jsonb(&descriptor),
		.license = job->license,
		.source = psprintf("8-bit variant of %s", job->label),
		.weights = job->onnx,
		.weights_bytes = job->onnx_bytes,
	};

	return fr_model_add(&draft);
}

/* How many layers are of which kind, and how good that is. */
static char *
describe_result(const Job *job)
{
	const FrQuantizeReport *report = &job->report;
	int kept = report->layer_count - report->quantized_count;
	StringInfoData words;

	initStringInfo(&words);
	appendStringInfo(&words, "%d of %d layers are 8-bit, %d %s float32",
					 report->quantized_count, report->layer_count, kept,
					 kept == 1 ? "stays" : "stay");
	for (int i = 0; i < kept && i < NAMED_LAYERS; i++)
		appendStringInfo(&words, "%s\"%s\"", i == 0 ? " (" : ", ",
						 report->kept[i]);
	if (kept > 0)
		appendStringInfoString(&words, kept > NAMED_LAYERS ? ", ...)" : ")");
	appendStringInfo(&words,
					 ". The mean cosine is over %d %s held out of the "
					 "calibration; the least is %.4f.",
					 report->measured_count, samples_name(job),
					 report->least_agreement);
	return words.data;
}

static const char *
advise(const Job *job, bool is_good)
{
	if (!is_good)
		return "Use more photos, as they come in use, or a higher min_cosine.";
	return job->row.role == FR_ROLE_EMBEDDER
			   ? "It is another model: photos have to be embedded again, and "
				 "its thresholds in facerec_thresholds calibrated."
			   : NULL;
}

static void
report_result(const Job *job)
{
	bool is_good = job->report.mean_agreement >= RECOMMENDED_COSINE;
	const char *hint = advise(job, is_good);

	ereport(is_good ? NOTICE : WARNING,
			(errmsg("face model \"%s\" agrees with \"%s\" at a cosine of "
					"%s%.4f",
					job->new_name, job->row.name, is_good ? "" : "only ",
					job->report.mean_agreement),
			 errdetail("%s", describe_result(job)),
			 hint ? errhint("%s", hint) : 0));
}

Datum
facerec_face_model_quantize(PG_FUNCTION_ARGS)
{
	Job job = {.net = fr_model_net_options()};

	check_not_null(fcinfo);

	char *reference = text_to_cstring(PG_GETARG_TEXT_PP(0));

	read_arguments(fcinfo, &job);
	PreventCommandIfReadOnly("face_model_quantize()");
	PreventCommandDuringRecovery("face_model_quantize()");
	SPI_connect();
	/* All memory is SPI's, which goes with SPI_finish. */
	job.allocator = fr_pg_allocator(CurrentMemoryContext);
	open_model(&job, reference);
	open_photos(&job);
	job.license = read_license(&job.row);
	collect(&job);
	check_samples(&job);
	quantize(&job);

	char *label = store(&job);
	text *result = (text *) SPI_palloc(VARHDRSZ + strlen(label));

	SET_VARSIZE(result, VARHDRSZ + strlen(label));
	memcpy(VARDATA(result), label, strlen(label));
	report_result(&job);
	SPI_finish();
	PG_RETURN_TEXT_P(result);
}
