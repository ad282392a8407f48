/*
 * model_plan.c: SQL function face_model_plan, how a model is computed.
 *
 * Plans the model for one picture as the pipeline would, and shows the steps
 * with what they should take and what they do take (core/nn/profile.h); with
 * runs => 0 nothing is run and the times are null.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "core/face/detect.h"
#include "core/nn/profile.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pg/catalog.h"
#include "pg/errors.h"
#include "pg/memory.h"
#include "pg/model_cache.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_model_plan);

#define PLAN_COLUMNS 9
#define MAX_SIDE	 16384
#define MAX_RUNS	 1000
#define USUAL_RUNS	 5

/* One row of the result. */
typedef struct PlanRow
{
	int network; /* 0-based */
	char *layer;
	char *kernel;
	FrShape shape;
	size_t weight_bytes;
	double flops;
	double estimated_s, measured_s;
} PlanRow;

typedef struct PlanRows
{
	int count;
	bool is_measured;
	PlanRow *rows; /* in the memory that outlives the first call */
} PlanRows;

static double
read_clock(void)
{
	instr_time time;

	INSTR_TIME_SET_CURRENT(time);
	return INSTR_TIME_GET_DOUBLE(time);
}

/* An optional argument; usual when it is null. */
static int
get_number(FunctionCallInfo fcinfo, int argument, const char *name, int least,
		   int most, int usual)
{
	int32 number;

	if (PG_ARGISNULL(argument))
		return usual;
	number = PG_GETARG_INT32(argument);
	if (number < least || number > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between %d and %d", name, least, most)));
	return number;
}

/* The shape of a picture as a detector pads it.  A cascade pads nothing. */
static FrShape
pad_shape(const FrModel *model, int width, int height)
{
	const FrDescriptor *core = &model->descriptor.core;
	FrShape shape = fr_model_input_shape(model, 0, width, height);
	int first = shape.dims[1] == 3 ? 2 : 1; /* [n, 3, h, w] or [n, h, w, 3] */

	if (core->role != FR_ROLE_DETECTOR || core->graph_count > 1)
		return shape;
	return fr_detect_shape(model->nets[0], core, (int) shape.dims[first + 1],
						   (int) shape.dims[first]);
}

/* The shape of one picture of the given size, or of the usual one. */
static FrShape
choose_shape(const FrModel *model, int width, int height)
{
	FrShape usual = fr_model_input_shape(model, 0, 0, 0);
	FrShape shape = fr_model_input_shape(model, 0, width, height);
	int first = shape.dims[1] == 3 ? 2 : 1; /* [n, 3, h, w] or [n, h, w, 3] */
	bool is_fixed = model->descriptor.core.input_width > 0;

	if ((width > 0 && shape.dims[first + 1] != width) ||
		(height > 0 && shape.dims[first] != height) ||
		(is_fixed && !fr_shape_equal(&shape, &usual)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("face model \"%s\" takes pictures of %d x %d pixels",
						model->row.name, (int) usual.dims[first + 1],
						(int) usual.dims[first])));
	return pad_shape(model, width, height);
}

static void
append_rows(PlanRows *rows, int network, const FrPlan *plan, const FrPeak *peak,
			const double *seconds)
{
	int count = fr_plan_step_count(plan);

	rows->rows = repalloc(rows->rows,
						  sizeof(PlanRow) * (Size) (rows->count + count + 1));
	for (int i = 0; i < count; i++)
	{
		FrPlanStep step;

		fr_plan_step(plan, i, &step);
		rows->rows[rows->count++] = (PlanRow){
			.network = network,
			.layer = pstrdup(step.name),
			.kernel = pstrdup(step.kernel),
			.shape = step.shape,
			.weight_bytes = step.weight_bytes,
			.flops = step.flops,
			.estimated_s = seconds ? fr_profile_estimate(&step, peak) : 0,
			.measured_s = seconds ? seconds[i] : 0};
	}
}

/* What the kernels reach, found out once per process and kernel table. */
static FrStatus
find_peak(const FrKernels *kernels, const FrAllocator *allocator, FrPeak *peak,
		  FrError *error)
{
	static const FrKernels *known_kernels;
	static FrPeak known;
	FrCancel cancel = fr_pg_cancel();

	if (known_kernels != kernels)
	{
		known_kernels = NULL;

		FrStatus status = fr_profile_peak(kernels, read_clock, &cancel,
										  allocator, &known, error);

		if (status != FR_OK)
			return status;
		known_kernels = kernels;
	}
	*peak = known;
	return FR_OK;
}

/* Plan and measure one network; its rows are made in context. */
static void
plan_network(FrModel *model, int network, const FrShape *shape, int runs,
			 MemoryContext context, PlanRows *rows)
{
	FrAllocator allocator = fr_pg_allocator(CurrentMemoryContext);
	FrCancel cancel = fr_pg_cancel();
	double *seconds = NULL;
	FrPlan *plan = NULL;
	FrPeak peak = {0};
	FrError error;
	FrStatus status =
		fr_net_plan(model->nets[network], shape, &cancel, &plan, &error);

	if (status == FR_OK && runs > 0)
		status = find_peak(fr_model_net_options().kernels, &allocator, &peak,
						   &error);
	if (status == FR_OK && runs > 0)
	{
		seconds =
			palloc0(sizeof(double) * (Size) (fr_plan_step_count(plan) + 1));
		status = fr_profile_run(plan, runs, read_clock, &cancel, &allocator,
								seconds, &error);
	}
	if (status != FR_OK)
		fr_raise(status, &error,
				 psprintf("could not plan face model \"%s\"", model->row.name),
				 status == FR_ERR_LIMIT ? "Raise facerec.max_inference_memory."
				 : status == FR_ERR_MISMATCH && network == 0
					 ? "Choose another width and height."
					 : NULL);

	MemoryContext caller = MemoryContextSwitchTo(context);

	append_rows(rows, network, plan, &peak, seconds);
	MemoryContextSwitchTo(caller);
}

static PlanRows *
plan_model(FunctionCallInfo fcinfo, MemoryContext context)
{
	PlanRows *rows = MemoryContextAllocZero(context, sizeof(PlanRows));
	FrModelRow row;
	int width, height, runs;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the name of a face model must not be null")));
	width = get_number(fcinfo, 1, "width", 1, MAX_SIDE, 0);
	height = get_number(fcinfo, 2, "height", 1, MAX_SIDE, 0);
	runs = get_number(fcinfo, 3, "runs", 0, MAX_RUNS, USUAL_RUNS);
	rows->rows = MemoryContextAlloc(context, sizeof(PlanRow));
	rows->is_measured = runs > 0;
	fr_model_cache_begin();
	fr_catalog_resolve(text_to_cstring(PG_GETARG_TEXT_PP(0)), &row);

	FrModel *model = fr_model_cache_get(&row);

	for (int i = 0; i < model->descriptor.core.graph_count; i++)
	{
		FrShape shape = i == 0 ? choose_shape(model, width, height)
							   : fr_model_input_shape(model, i, 0, 0);

		plan_network(model, i, &shape, runs, context, rows);
	}
	fr_model_cache_end();
	return rows;
}

static Datum
make_shape(const FrShape *shape)
{
	Datum dims[FR_MAX_RANK];

	for (int i = 0; i < shape->rank; i++)
		dims[i] = Int32GetDatum((int32) shape->dims[i]);
	return PointerGetDatum(construct_array(dims, shape->rank, INT4OID,
										   sizeof(int32), true, TYPALIGN_INT));
}

static Datum
make_row(const PlanRows *rows, int index, TupleDesc descriptor)
{
	const PlanRow *row = &rows->rows[index];
	Datum values[PLAN_COLUMNS];
	bool nulls[PLAN_COLUMNS] = {false};

	values[0] = Int32GetDatum(index + 1);
	values[1] = Int32GetDatum(row->network + 1);
	values[2] = CStringGetTextDatum(row->layer);
	values[3] = CStringGetTextDatum(row->kernel);
	values[4] = make_shape(&row->shape);
	values[5] = Int64GetDatum((int64) row->weight_bytes);
	values[6] = Float8GetDatum(row->flops);
	values[7] = Float8GetDatum(row->estimated_s * 1e3);
	values[8] = Float8GetDatum(row->measured_s * 1e3);
	nulls[7] = nulls[8] = !rows->is_measured;
	return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
}

Datum
facerec_face_model_plan(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;

	if (SRF_IS_FIRSTCALL())
	{
		TupleDesc descriptor;

		context = SRF_FIRSTCALL_INIT();

		MemoryContext caller =
			MemoryContextSwitchTo(context->multi_call_memory_ctx);

		if (get_call_result_type(fcinfo, NULL, &descriptor) !=
				TYPEFUNC_COMPOSITE ||
			descriptor->natts != PLAN_COLUMNS)
			elog(ERROR, "unexpected row type");
		context->tuple_desc = BlessTupleDesc(descriptor);
		MemoryContextSwitchTo(caller);
		context->user_fctx = plan_model(fcinfo, context->multi_call_memory_ctx);
	}
	context = SRF_PERCALL_SETUP();

	const PlanRows *rows = context->user_fctx;

	if (context->call_cntr >= (uint64) rows->count)
		SRF_RETURN_DONE(context);

	Datum row = make_row(rows, (int) context->call_cntr, context->tuple_desc);

	SRF_RETURN_NEXT(context, row);
}
