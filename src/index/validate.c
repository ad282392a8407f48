/*
 * validate.c: checks an operator class of faceindex.
 *
 * There are two kinds: that of embeddings, which orders and bounds a scan and
 * has support functions, and those of filter columns, whose types compare as
 * integers or have "=" only.
 */
#include "postgres.h"

#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_type.h"
#include "index/index.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

typedef struct Validation
{
	Oid family;
	Oid type; /* of the column */
	char *class_name;
	bool is_valid;
	bool has_operators; /* of the column's own type */
	bool has_match_distance;
} Validation;

static void
complain(Validation *validation, const char *what)
{
	ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				   errmsg("operator class \"%s\" of access method faceindex %s",
						  validation->class_name, what)));
	validation->is_valid = false;
}

/* ---- support functions -------------------------------------------------- */

static void
check_function(Validation *validation, Form_pg_amproc function)
{
	bool is_known = false;

	if (function->amprocnum == FR_PROC_MATCH_DISTANCE)
	{
		is_known = check_amproc_signature(function->amproc, FLOAT8OID, false, 1,
										  1, validation->type);
		validation->has_match_distance = true;
	}
	else if (function->amprocnum == FR_PROC_WITHIN)
	{
		Oid result = get_func_rettype(function->amproc);

		is_known = check_amproc_signature(function->amproc, result, false, 2, 2,
										  validation->type, FLOAT8OID);
	}
	if (!is_known)
		complain(validation,
				 psprintf("has function %s with wrong signature or number %d",
						  format_procedure(function->amproc),
						  function->amprocnum));
}

static void
check_functions(Validation *validation)
{
	CatCList *list =
		SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(validation->family));

	for (int i = 0; i < list->n_members; i++)
	{
		HeapTuple tuple = &list->members[i]->tuple;

		check_function(validation, (Form_pg_amproc) GETSTRUCT(tuple));
	}
	ReleaseCatCacheList(list);
}

/* ---- operators ---------------------------------------------------------- */

static void
check_order_operator(Validation *validation, Form_pg_amop form)
{
	if (form->amopstrategy != FR_STRATEGY_COSINE &&
		form->amopstrategy != FR_STRATEGY_L2)
		complain(validation, "has an ordering operator of a wrong strategy");
	else if (!check_amop_signature(form->amopopr, FLOAT8OID, form->amoplefttype,
								   form->amoprighttype))
		complain(validation, psprintf("has operator %s with wrong signature",
									  format_operator(form->amopopr)));
}

static void
check_search_operator(Validation *validation, Form_pg_amop form)
{
	bool is_embedding = validation->has_match_distance;
	int strategy = form->amopstrategy;

	if (is_embedding
			? strategy != FR_STRATEGY_MATCH && strategy != FR_STRATEGY_RANGE
			: strategy != FR_STRATEGY_EQUAL &&
				  !fr_filter_is_ordered(form->amoplefttype))
		complain(validation, "has a search operator of a wrong strategy");
	else if (!is_embedding &&
			 !fr_filter_is_comparable(form->amoplefttype, form->amoprighttype))
		complain(validation, psprintf("has operator %s between other types",
									  format_operator(form->amopopr)));
	else if (!check_amop_signature(form->amopopr, BOOLOID, form->amoplefttype,
								   form->amoprighttype))
		complain(validation, psprintf("has operator %s with wrong signature",
									  format_operator(form->amopopr)));
}

static void
check_operators(Validation *validation)
{
	CatCList *list =
		SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(validation->family));

	for (int i = 0; i < list->n_members; i++)
	{
		HeapTuple tuple = &list->members[i]->tuple;
		Form_pg_amop form = (Form_pg_amop) GETSTRUCT(tuple);

		if (form->amoppurpose == AMOP_ORDER)
			check_order_operator(validation, form);
		else
			check_search_operator(validation, form);
		if (form->amoplefttype == validation->type)
			validation->has_operators = true;
	}
	ReleaseCatCacheList(list);
}

bool
fr_index_validate(Oid opclass)
{
	HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Validation validation = {.is_valid = true};
	Form_pg_opclass form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	validation.family = form->opcfamily;
	validation.type = form->opcintype;
	validation.class_name = pstrdup(NameStr(form->opcname));
	check_functions(&validation);
	check_operators(&validation);
	if (!validation.has_operators)
		complain(&validation, "has no operators");
	if (!validation.has_match_distance && !get_typbyval(validation.type))
		complain(&validation, "is for a type that is not passed by value");
	ReleaseSysCache(tuple);
	return validation.is_valid;
}
