/*
 * model_descriptor.c: jsonb <-> FrModelDescriptor, by one table of keys.
 */
#include "postgres.h"

#include "pg/model_descriptor.h"

#include <limits.h>
#include <math.h>

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

typedef enum KeyKind
{
	KEY_COLOR,		/* "rgb" or "bgr"; bool is_bgr */
	KEY_CHANNELS,	/* a number or three; float[3] */
	KEY_REAL,		/* float */
	KEY_INTEGER,	/* int */
	KEY_BOOLEAN,	/* bool */
	KEY_SIZE,		/* [width, height] or a number for both; int, int */
	KEY_ALIGNMENT,	/* FrTemplate */
	KEY_STORAGE,	/* "fp32" or "fp16"; FrWeightFormat */
	KEY_MODEL,		/* char[FR_MODEL_LABEL_BYTES]; null = none */
	KEY_FINGERPRINT /* char[9] */
} KeyKind;

typedef struct KeySpec
{
	const char *key;
	KeyKind kind;
	bool is_for[FR_ROLE_COUNT];
	size_t offset; /* in FrModelDescriptor */
	double least, most;
	bool is_rare; /* written only when it, or the preset's, is not zero (of
				   * the origin: when there is one), so that models that do
				   * not use it stay as they are */
} KeySpec;

#define AT(field) offsetof(FrModelDescriptor, field)

/* KEY_SIZE writes two ints. */
StaticAssertDecl(offsetof(FrDescriptor, input_height) ==
					 offsetof(FrDescriptor, input_width) + sizeof(int),
				 "input_width and input_height lie side by side");

/* detector, embedder, landmarks */
#define FOR_ALL          \
	{                    \
		true, true, true \
	}
#define FOR_DETECTOR       \
	{                      \
		true, false, false \
	}
#define FOR_EMBEDDER       \
	{                      \
		false, true, false \
	}
#define FOR_LANDMARKS      \
	{                      \
		false, false, true \
	}
#define FOR_CROPS         \
	{                     \
		false, true, true \
	}
#define FOR_DETECTION     \
	{                     \
		true, true, false \
	}

static const KeySpec keys[] = {
	{"color", KEY_COLOR, FOR_ALL, AT(core.is_bgr), 0, 0, false},
	{"mean", KEY_CHANNELS, FOR_ALL, AT(core.mean), -1e6, 1e6, false},
	{"scale", KEY_CHANNELS, FOR_ALL, AT(core.scale), 1e-9, 1e6, false},
	{"standardise", KEY_BOOLEAN, FOR_EMBEDDER, AT(core.is_standardised), 0, 0,
	 true},
	{"weight_storage", KEY_STORAGE, FOR_ALL, AT(core.weight_format), 0, 0,
	 true},
	{"nms_iou", KEY_REAL, FOR_DETECTOR, AT(core.nms_iou), 0, 1, false},
	{"landmarks", KEY_MODEL, FOR_DETECTOR, AT(landmarks), 0, 0, true},
	{"large_faces", KEY_BOOLEAN, FOR_DETECTOR, AT(core.finds_large_faces), 0, 0,
	 true},
	{"input_size", KEY_SIZE, FOR_CROPS, AT(core.input_width), 16,
	 FR_MAX_CROP_SIDE, false},
	{"alignment", KEY_ALIGNMENT, FOR_CROPS, AT(core.alignment), 0, 0, false},
	{"margin", KEY_REAL, FOR_CROPS, AT(core.margin), 0, 4, true},
	{"flip", KEY_BOOLEAN, FOR_EMBEDDER, AT(core.is_flip_averaged), 0, 0, false},
	{"flip", KEY_BOOLEAN, FOR_LANDMARKS, AT(core.is_flip_averaged), 0, 0, true},
	{"second_look", KEY_REAL, FOR_LANDMARKS, AT(core.second_look), 0, 1, true},
	{"detector", KEY_MODEL, FOR_EMBEDDER, AT(detector), 0, 0, false},
	{"detection_threshold", KEY_REAL, FOR_DETECTION,
	 AT(core.detection_threshold), 0, 1, false},
	{"detection_size", KEY_INTEGER, FOR_DETECTION, AT(core.detection_size), 0,
	 65535, false},
	{"min_face_size", KEY_INTEGER, FOR_DETECTION, AT(core.min_face_size), 0,
	 65535, false},
	{"max_faces", KEY_INTEGER, FOR_DETECTION, AT(core.max_faces), 1, 10000,
	 false},
	{"int8_of", KEY_FINGERPRINT, FOR_ALL, AT(origin.fingerprint), 0, 0, true},
	{"int8_photos", KEY_INTEGER, FOR_ALL, AT(origin.photos), 0, INT_MAX, true},
	{"int8_samples", KEY_INTEGER, FOR_ALL, AT(origin.samples), 0, INT_MAX,
	 true},
	{"int8_layers", KEY_INTEGER, FOR_ALL, AT(origin.layers), 0, INT_MAX, true},
	{"int8_float_layers", KEY_INTEGER, FOR_ALL, AT(origin.float_layers), 0,
	 INT_MAX, true},
	{"int8_cosine", KEY_REAL, FOR_ALL, AT(origin.cosine), -1, 1, true},
	{"int8_least_cosine", KEY_REAL, FOR_ALL, AT(origin.least_cosine), -1, 1,
	 true},
};

static const char *const template_names[] = {
	[FR_TEMPLATE_ARCFACE_112] = "arcface-112",
	[FR_TEMPLATE_OMZ_128] = "omz-128",
	[FR_TEMPLATE_SPHEREFACE] = "sphereface-112",
	[FR_TEMPLATE_BOX] = "box",
};

StaticAssertDecl(lengthof(template_names) == FR_TEMPLATE_COUNT,
				 "every template has a name");

/* ---- reading ------------------------------------------------------------ */

/* Raise the error for a value that does not fit its key. */
static void
refuse_value(const KeySpec *spec, const char *expected)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid value for \"%s\" in the descriptor of a "
						   "face model",
						   spec->key),
					errdetail("It must be %s.", expected)));
}

static const KeySpec *
find_key(const char *key, size_t length, FrRole role)
{
	for (size_t i = 0; i < lengthof(keys); i++)
		if (keys[i].is_for[role] && strlen(keys[i].key) == length &&
			memcmp(keys[i].key, key, length) == 0)
			return &keys[i];

	StringInfoData allowed;

	initStringInfo(&allowed);
	/* Nobody is told to claim an origin. */
	for (size_t i = 0; i < lengthof(keys); i++)
		if (keys[i].is_for[role] && keys[i].offset < AT(origin))
			appendStringInfo(&allowed, "%s%s", allowed.len ? ", " : "",
							 keys[i].key);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized key \"%.*s\" in the descriptor of a face "
					"model",
					(int) length, key),
			 errhint("The keys for %s are: %s.",
					 role == FR_ROLE_DETECTOR	? "a detector"
					 : role == FR_ROLE_EMBEDDER ? "an embedder"
												: "a landmarks network",
					 allowed.data)));
}

static double
read_number(const KeySpec *spec, const JsonbValue *value)
{
	const char *kind = spec->kind == KEY_CHANNELS  ? "a number or three numbers"
					   : spec->kind == KEY_INTEGER ? "a whole number"
					   : spec->kind == KEY_SIZE
						   ? "a whole number or two ([width, height])"
						   : "a number";
	char *expected =
		psprintf("%s between %g and %g", kind, spec->least, spec->most);

	if (value->type != jbvNumeric)
		refuse_value(spec, expected);

	double number = DatumGetFloat8(DirectFunctionCall1(
		numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
	bool is_whole = spec->kind == KEY_INTEGER || spec->kind == KEY_SIZE;

	if (!(number >= spec->least && number <= spec->most) ||
		(is_whole && number != floor(number)))
		refuse_value(spec, expected);
	pfree(expected);
	return number;
}

/* One number for all, or as many numbers as there are numbers. */
static void
read_numbers(const KeySpec *spec, JsonbValue *value, double *numbers, int count)
{
	if (value->type != jbvBinary)
	{
		numbers[0] = read_number(spec, value);
		for (int i = 1; i < count; i++)
			numbers[i] = numbers[0];
		return;
	}

	JsonbContainer *array = value->val.binary.data;
	JsonbValue wrong = {.type = jbvNull};

	if (!JsonContainerIsArray(array) ||
		JsonContainerSize(array) != (uint32) count)
		read_number(spec, &wrong);
	for (int i = 0; i < count; i++)
		numbers[i] =
			read_number(spec, getIthJsonbValueFromContainer(array, (uint32) i));
}

static char *
read_string(const KeySpec *spec, const JsonbValue *value, const char *expected)
{
	if (value->type != jbvString)
		refuse_value(spec, expected);
	return pnstrdup(value->val.string.val, (Size) value->val.string.len);
}

static void
read_alignment(const KeySpec *spec, const JsonbValue *value, FrTemplate *out)
{
	const char *expected =
		"\"arcface-112\", \"omz-128\", \"sphereface-112\" or \"box\"";
	const char *name = read_string(spec, value, expected);

	for (size_t i = 0; i < lengthof(template_names); i++)
		if (strcmp(name, template_names[i]) == 0)
		{
			*out = (FrTemplate) i;
			return;
		}
	refuse_value(spec, expected);
}

static void
read_storage(const KeySpec *spec, const JsonbValue *value, FrWeightFormat *out)
{
	const char *expected = "\"fp32\" or \"fp16\"";
	const char *name = read_string(spec, value, expected);

	if (strcmp(name, "fp16") == 0)
		*out = FR_WEIGHTS_F16;
	else if (strcmp(name, "fp32") == 0)
		*out = FR_WEIGHTS_F32;
	else
		refuse_value(spec, expected);
}

static void
read_fingerprint(const KeySpec *spec, const JsonbValue *value, char *out)
{
	const char *expected = "a fingerprint, eight hexadecimal digits";
	const char *digits = read_string(spec, value, expected);

	if (strlen(digits) != 8 || fr_catalog_parse_fingerprint(digits) == 0)
		refuse_value(spec, expected);
	strlcpy(out, digits, sizeof(((FrModelOrigin *) NULL)->fingerprint));
}

static void
read_value(const KeySpec *spec, JsonbValue *value, void *field)
{
	double numbers[3];

	switch (spec->kind)
	{
		case KEY_COLOR:
		{
			const char *expected = "\"rgb\" or \"bgr\"";
			const char *color = read_string(spec, value, expected);

			if (strcmp(color, "rgb") != 0 && strcmp(color, "bgr") != 0)
				refuse_value(spec, expected);
			*(bool *) field = color[0] == 'b';
			break;
		}
		case KEY_CHANNELS:
			read_numbers(spec, value, numbers, 3);
			for (int i = 0; i < 3; i++)
				((float *) field)[i] = (float) numbers[i];
			break;
		case KEY_REAL:
			*(float *) field = (float) read_number(spec, value);
			break;
		case KEY_INTEGER:
			*(int *) field = (int) read_number(spec, value);
			break;
		case KEY_BOOLEAN:
			if (value->type != jbvBool)
				refuse_value(spec, "true or false");
			*(bool *) field = value->val.boolean;
			break;
		case KEY_SIZE:
			read_numbers(spec, value, numbers, 2);
			((int *) field)[0] = (int) numbers[0];
			((int *) field)[1] = (int) numbers[1];
			break;
		case KEY_ALIGNMENT:
			read_alignment(spec, value, (FrTemplate *) field);
			break;
		case KEY_STORAGE:
			read_storage(spec, value, (FrWeightFormat *) field);
			break;
		case KEY_MODEL:
			if (value->type == jbvNull)
				*(char *) field = '\0';
			else
				strlcpy((char *) field,
						read_string(spec, value, "the name of a model"),
						FR_MODEL_LABEL_BYTES);
			break;
		case KEY_FINGERPRINT:
			read_fingerprint(spec, value, (char *) field);
			break;
	}
}

bool
fr_model_descriptor_has(Jsonb *object, const char *key)
{
	JsonbValue name = {.type = jbvString};

	if (!object || !JB_ROOT_IS_OBJECT(object))
		return false;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = (int) strlen(key);
	return findJsonbValueFromContainer(&object->root, JB_FOBJECT, &name) !=
		   NULL;
}

void
fr_model_descriptor_apply(Jsonb *object, FrModelDescriptor *descriptor)
{
	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the descriptor of a face model must be an object"),
				 errhint("For example: {\"detection_threshold\": 0.7}.")));

	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbValue key;
	JsonbValue value;

	if (JsonbIteratorNext(&iterator, &key, false) != WJB_BEGIN_OBJECT)
		elog(ERROR, "unexpected start of a jsonb object");
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		const KeySpec *spec =
			find_key(key.val.string.val, (size_t) key.val.string.len,
					 descriptor->core.role);

		(void) JsonbIteratorNext(&iterator, &value, true);
		read_value(spec, &value, (char *) descriptor + spec->offset);
		if (spec->offset == AT(landmarks))
			descriptor->is_landmarks_none = value.type == jbvNull;
	}
}

/* ---- writing ------------------------------------------------------------ */

static void
append_float(StringInfo json, float number)
{
	char digits[FLOAT_SHORTEST_DECIMAL_LEN];

	float_to_shortest_decimal_buf(number, digits);
	appendStringInfoString(json, digits);
}

static void
append_value(StringInfo json, const KeySpec *spec, const void *field)
{
	const float *floats = field;
	const int *integers = field;

	switch (spec->kind)
	{
		case KEY_COLOR:
			appendStringInfoString(json, *(const bool *) field ? "\"bgr\""
															   : "\"rgb\"");
			break;
		case KEY_CHANNELS:
			for (int i = 0; i < 3; i++)
			{
				appendStringInfoString(json, i == 0 ? "[" : ", ");
				append_float(json, floats[i]);
			}
			appendStringInfoChar(json, ']');
			break;
		case KEY_REAL:
			append_float(json, floats[0]);
			break;
		case KEY_INTEGER:
			appendStringInfo(json, "%d", integers[0]);
			break;
		case KEY_BOOLEAN:
			appendStringInfoString(json,
								   *(const bool *) field ? "true" : "false");
			break;
		case KEY_SIZE:
			appendStringInfo(json, "[%d, %d]", integers[0], integers[1]);
			break;
		case KEY_ALIGNMENT:
			appendStringInfo(json, "\"%s\"",
							 template_names[*(const FrTemplate *) field]);
			break;
		case KEY_STORAGE:
			appendStringInfoString(json, *(const FrWeightFormat *) field ==
												 FR_WEIGHTS_F16
											 ? "\"fp16\""
											 : "\"fp32\"");
			break;
		case KEY_MODEL:
			/* A label has no character that JSON would escape. */
			if (*(const char *) field)
				appendStringInfo(json, "\"%s\"", (const char *) field);
			else
				appendStringInfoString(json, "null");
			break;
		case KEY_FINGERPRINT:
			appendStringInfo(json, "\"%s\"", (const char *) field);
			break;
	}
}

/* Is any byte of a rare key's field set? */
static bool
is_set(const KeySpec *spec, const FrModelDescriptor *descriptor)
{
	const char *field = (const char *) descriptor + spec->offset;

	return spec->kind == KEY_REAL ? *(const float *) field != 0 : *field != 0;
}

static bool
is_written(const KeySpec *spec, const FrModelDescriptor *descriptor)
{
	FrModelDescriptor preset = {0};

	if (!spec->is_for[descriptor->core.role])
		return false;
	if (spec->offset >= AT(origin))
		return descriptor->origin.fingerprint[0] != '\0';
	if (spec->offset == AT(landmarks) && descriptor->is_landmarks_none)
		return true;
	return !spec->is_rare || is_set(spec, descriptor) ||
		   (fr_preset_find(descriptor->core.preset, &preset.core) &&
			is_set(spec, &preset));
}

Jsonb *
fr_model_descriptor_to_jsonb(const FrModelDescriptor *descriptor)
{
	StringInfoData json;
	const char *separator = "{";

	initStringInfo(&json);
	for (size_t i = 0; i < lengthof(keys); i++)
	{
		if (!is_written(&keys[i], descriptor))
			continue;
		appendStringInfo(&json, "%s\"%s\": ", separator, keys[i].key);
		append_value(&json, &keys[i],
					 (const char *) descriptor + keys[i].offset);
		separator = ", ";
	}
	appendStringInfoChar(&json, '}');

	Datum jsonb = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));

	pfree(json.data);
	return DatumGetJsonbP(jsonb);
}
