/*
 * ort_binding.h: the few calls of ONNX Runtime that a comparison needs.
 *
 * The library is opened at run time (path in ORT_LIB) and its C interface is
 * called through the function table by position, which is fixed since version
 * 1 of that interface; no header of ONNX Runtime is needed to build.  Errors
 * end the program: this is for benchmarks only.
 */
#ifndef FR_TEST_ORT_BINDING_H
#define FR_TEST_ORT_BINDING_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Positions in the table OrtApi, version 1. */
enum
{
	ORT_GET_ERROR_MESSAGE = 2,
	ORT_CREATE_ENV = 3,
	ORT_CREATE_SESSION = 7,
	ORT_RUN = 9,
	ORT_CREATE_SESSION_OPTIONS = 10,
	ORT_SET_OPTIMIZATION_LEVEL = 23,
	ORT_SET_INTRA_OP_THREADS = 24,
	ORT_SET_INTER_OP_THREADS = 25,
	ORT_SESSION_OUTPUT_COUNT = 31,
	ORT_SESSION_INPUT_NAME = 36,
	ORT_SESSION_OUTPUT_NAME = 37,
	ORT_CREATE_TENSOR_WITH_DATA = 49,
	ORT_TENSOR_DATA = 51,
	ORT_ELEMENT_COUNT = 64,
	ORT_TENSOR_INFO = 65,
	ORT_CREATE_CPU_MEMORY_INFO = 69,
	ORT_DEFAULT_ALLOCATOR = 78,
	ORT_RELEASE_VALUE = 96,
	ORT_RELEASE_SESSION = 95,
	ORT_RELEASE_TENSOR_INFO = 99,
	ORT_RELEASE_SESSION_OPTIONS = 100
};

#define ORT_MAX_OUTPUTS 64

typedef struct OrtLibrary
{
	void *const *api;
	const char *version;
	void *environment, *memory_info, *allocator;
} OrtLibrary;

typedef struct OrtModel
{
	const OrtLibrary *library;
	void *session;
	char *input_name;
	size_t output_count;
	char *output_names[ORT_MAX_OUTPUTS];
	void *outputs[ORT_MAX_OUTPUTS]; /* of the last run */
} OrtModel;

/* Call entry number index, whose parameters are of the given types. */
#define ORT_CALL(library, index, types, ...) \
	ort_check(library, ((void *(*) types)(library)->api[index])(__VA_ARGS__))
#define ORT_RELEASE(library, index, object) \
	((void (*)(void *))(library)->api[index])(object)

static void
ort_check(const OrtLibrary *library, void *status)
{
	const char *(*message)(const void *) =
		(const char *(*) (const void *) ) library->api[ORT_GET_ERROR_MESSAGE];

	if (!status)
		return;
	fprintf(stderr, "ONNX Runtime: %s\n", message(status));
	exit(1);
}

/* Open the library in ORT_LIB; 0 when the variable is not set or the file is
 * not there. */
static int
ort_open(OrtLibrary *library)
{
	struct OrtBase
	{
		void *const *(*get_api)(uint32_t version);
		const char *(*get_version)(void);
	};
	const char *path = getenv("ORT_LIB");
	void *handle = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	const struct OrtBase *(*get_base)(void);

	if (!handle)
		return 0;
	get_base =
		(const struct OrtBase *(*) (void) ) dlsym(handle, "OrtGetApiBase");
	if (!get_base)
		return 0;
	library->api = get_base()->get_api(1);
	library->version = get_base()->get_version();
	ORT_CALL(library, ORT_CREATE_ENV, (int, const char *, void **), 3,
			 "compare", &library->environment);
	ORT_CALL(library, ORT_CREATE_CPU_MEMORY_INFO, (int, int, void **), 1, 0,
			 &library->memory_info);
	ORT_CALL(library, ORT_DEFAULT_ALLOCATOR, (void **), &library->allocator);
	return 1;
}

/* Load a model with one input, all optimisations, one thread. */
static void
ort_load(const OrtLibrary *library, const char *path, OrtModel *model)
{
	void *options;

	*model = (OrtModel){.library = library};
	ORT_CALL(library, ORT_CREATE_SESSION_OPTIONS, (void **), &options);
	ORT_CALL(library, ORT_SET_OPTIMIZATION_LEVEL, (void *, int), options, 99);
	ORT_CALL(library, ORT_SET_INTRA_OP_THREADS, (void *, int), options, 1);
	ORT_CALL(library, ORT_SET_INTER_OP_THREADS, (void *, int), options, 1);
	ORT_CALL(library, ORT_CREATE_SESSION,
			 (void *, const char *, void *, void **), library->environment,
			 path, options, &model->session);
	ORT_RELEASE(library, ORT_RELEASE_SESSION_OPTIONS, options);
	ORT_CALL(library, ORT_SESSION_OUTPUT_COUNT, (void *, size_t *),
			 model->session, &model->output_count);
	ORT_CALL(library, ORT_SESSION_INPUT_NAME, (void *, size_t, void *, char **),
			 model->session, (size_t) 0, library->allocator,
			 &model->input_name);
	if (model->output_count > ORT_MAX_OUTPUTS)
		model->output_count = ORT_MAX_OUTPUTS;
	for (size_t i = 0; i < model->output_count; i++)
		ORT_CALL(library, ORT_SESSION_OUTPUT_NAME,
				 (void *, size_t, void *, char **), model->session, i,
				 library->allocator, &model->output_names[i]);
}

static void
ort_release_outputs(OrtModel *model)
{
	for (size_t i = 0; i < model->output_count; i++)
		if (model->outputs[i])
		{
			ORT_RELEASE(model->library, ORT_RELEASE_VALUE, model->outputs[i]);
			model->outputs[i] = NULL;
		}
}

static void
ort_unload(OrtModel *model)
{
	ort_release_outputs(model);
	ORT_RELEASE(model->library, ORT_RELEASE_SESSION, model->session);
}

/* A tensor over the caller's floats [dims]. */
__attribute__((unused)) static void *
ort_tensor(const OrtLibrary *library, float *data, const int64_t *dims,
		   int rank)
{
	size_t bytes = sizeof(float);
	void *tensor;

	for (int i = 0; i < rank; i++)
		bytes *= (size_t) dims[i];
	ORT_CALL(library, ORT_CREATE_TENSOR_WITH_DATA,
			 (void *, void *, size_t, const int64_t *, size_t, int, void **),
			 library->memory_info, data, bytes, dims, (size_t) rank, 1,
			 &tensor);
	return tensor;
}

__attribute__((unused)) static void
ort_run(OrtModel *model, void *input)
{
	const OrtLibrary *library = model->library;

	ort_release_outputs(model);
	ORT_CALL(
		library, ORT_RUN,
		(void *, void *, char **, void **, size_t, char **, size_t, void **),
		model->session, NULL, &model->input_name, &input, (size_t) 1,
		model->output_names, model->output_count, model->outputs);
}

__attribute__((unused)) static const float *
ort_output(const OrtModel *model, size_t index, size_t *count)
{
	const OrtLibrary *library = model->library;
	float *data;
	void *info;

	ORT_CALL(library, ORT_TENSOR_DATA, (void *, float **),
			 model->outputs[index], &data);
	ORT_CALL(library, ORT_TENSOR_INFO, (void *, void **), model->outputs[index],
			 &info);
	ORT_CALL(library, ORT_ELEMENT_COUNT, (void *, size_t *), info, count);
	ORT_RELEASE(library, ORT_RELEASE_TENSOR_INFO, info);
	return data;
}

#endif
