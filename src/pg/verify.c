/*
 * verify.c: face_verify, from two photos to "the same person or not".
 *
 * It is face_embed twice and a threshold.  Each of the three keeps what it
 * knows per call site, so each gets one of its own: comparing one photo with
 * many embeds that one once, whichever argument it is.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pg/embedding.h"
#include "pg/face_models.h"
#include "pg/metrics.h"
#include "pg/settings.h"

extern Datum facerec_face_embed(PG_FUNCTION_ARGS);

PGDLLEXPORT PG_FUNCTION_INFO_V1(facerec_face_verify);

enum
{
	COLUMN_SAME,
	COLUMN_SIMILARITY,
	COLUMN_THRESHOLD,
	COLUMN_COUNT
};

/* What a call site of face_verify keeps. */
typedef struct Verifier
{
	TupleDesc row_type;
	FmgrInfo photo[2];
	FmgrInfo threshold;
} Verifier;

static Verifier *
get_verifier(FunctionCallInfo fcinfo)
{
	FmgrInfo *call_site = fcinfo->flinfo;
	TupleDesc row_type;

	if (call_site->fn_extra)
		return call_site->fn_extra;
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE ||
		row_type->natts != COLUMN_COUNT)
		elog(ERROR, "unexpected row type");

	MemoryContext caller = MemoryContextSwitchTo(call_site->fn_mcxt);
	Verifier *verifier = palloc0(sizeof(*verifier));

	verifier->row_type = BlessTupleDesc(CreateTupleDescCopy(row_type));
	verifier->photo[0].fn_mcxt = call_site->fn_mcxt;
	verifier->photo[1].fn_mcxt = call_site->fn_mcxt;
	verifier->threshold.fn_mcxt = call_site->fn_mcxt;
	MemoryContextSwitchTo(caller);
	call_site->fn_extra = verifier;
	return verifier;
}

/* face_embed(photo) by the settings; NULL when there is no face. */
static FrEmbedding *
embed(FmgrInfo *call_site, Datum photo)
{
	LOCAL_FCINFO(call, 1);

	InitFunctionCallInfoData(*call, call_site, 1, InvalidOid, NULL, NULL);
	call->args[0].value = photo;
	call->args[0].isnull = false;

	Datum embedding = facerec_face_embed(call);

	return call->isnull ? NULL : DatumGetFrEmbedding(embedding);
}

/* face_verify(a, b) and face_verify(a, b, fmr) */
Datum
facerec_face_verify(PG_FUNCTION_ARGS)
{
	Verifier *verifier = get_verifier(fcinfo);
	double fmr = PG_NARGS() > 2 ? PG_GETARG_FLOAT8(2) : fr_setting_fmr;
	Datum values[COLUMN_COUNT] = {0};
	bool nulls[COLUMN_COUNT] = {false};
	FrModelRow embedder;

	/* First, because what is missing there is cheaper to find out. */
	fr_face_models_find_embedder(NULL, &embedder);

	double threshold =
		fr_metrics_threshold(&verifier->threshold, embedder.fingerprint, fmr);
	FrEmbedding *a = embed(&verifier->photo[0], PG_GETARG_DATUM(0));
	FrEmbedding *b = embed(&verifier->photo[1], PG_GETARG_DATUM(1));

	values[COLUMN_THRESHOLD] = Float4GetDatum((float4) (1.0 - threshold));
	nulls[COLUMN_SAME] = nulls[COLUMN_SIMILARITY] = !a || !b;
	if (a && b)
	{
		double distance = fr_embedding_distance(a, b);

		values[COLUMN_SAME] = BoolGetDatum(distance <= threshold);
		values[COLUMN_SIMILARITY] = Float4GetDatum((float4) (1.0 - distance));
	}
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(verifier->row_type, values, nulls)));
}
