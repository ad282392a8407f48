/*
 * test_pack_file.c: the file of packed weights: what is written is found,
 * whatever is damaged is noticed, and a net made of a file computes the same
 * bits as the net that packed the weights.
 */
#include "core/base/checksum.h"
#include "core/nn/pack_file.h"
#include "core/onnx/aligned.h"
#include "plan_layers.h"

static const uint8_t identity[FR_PACK_IDENTITY_BYTES] = {1, 2, 3};
static const uint8_t other_identity[FR_PACK_IDENTITY_BYTES] = {1, 2, 4};

/* A file in memory, aligned as a mapping is. */
typedef struct Output
{
	uint8_t *bytes;
	size_t size_bytes, capacity;
} Output;

static bool
append(void *context, const void *bytes, size_t size_bytes)
{
	Output *output = context;

	if (size_bytes > output->capacity - output->size_bytes)
		return false;
	memcpy(output->bytes + output->size_bytes, bytes, size_bytes);
	output->size_bytes += size_bytes;
	return true;
}

static uint8_t *
aligned_memory(size_t size_bytes)
{
	void *memory;

	if (posix_memalign(&memory, 64, size_bytes ? size_bytes : 1) != 0)
		abort();
	memset(memory, 0, size_bytes);
	return memory;
}

static FrStatus
write_output(const FrPackFileContents *contents, Output *output,
			 const FrAllocator *allocator, FrError *error)
{
	FrPackSink sink = {append, output};

	*output = (Output){0};
	if (!fr_pack_file_size(contents, &output->capacity))
		abort();
	output->bytes = aligned_memory(output->capacity);
	return fr_pack_file_write(contents, &sink, NULL, allocator, error);
}

static bool
read_bytes(void *context, uint64_t offset, void *bytes, size_t size_bytes)
{
	const FrBytes *source = context;

	if (offset > source->length || size_bytes > source->length - offset)
		return false;
	memcpy(bytes, source->data + offset, size_bytes);
	return true;
}

static FrStatus
verify_bytes(FrBytes bytes, const FrAllocator *allocator, FrError *error)
{
	FrPackSource source = {read_bytes, &bytes, bytes.length};

	return fr_pack_file_verify(&source, identity, NULL, allocator, error);
}

static FrStatus
open_and_verify(FrBytes bytes, FrPackFile *file, FrError *error)
{
	FrStatus status = verify_bytes(bytes, &fr_allocator_malloc, error);

	return status == FR_OK ? fr_pack_file_open(bytes, identity, file, error)
						   : status;
}

/* ---- a small file --------------------------------------------------------- */

#define ITEM_COUNT 5

static const uint8_t data[1000] = {[0] = 1, [64] = 2, [999] = 3};

static FrPackFileContents
small_contents(FrPackedItem items[ITEM_COUNT])
{
	static const char *const keys[ITEM_COUNT] = {"a", "b", "ab", "",
												 "long key"};

	for (int i = 0; i < ITEM_COUNT; i++)
		items[i] = (FrPackedItem){.key = fr_bytes(keys[i], strlen(keys[i])),
								  .data = data + 64 * i,
								  .size_bytes = 100u * (unsigned) i};
	return (FrPackFileContents){.identity = identity,
								.image = fr_bytes(data, 777),
								.items = items,
								.item_count = ITEM_COUNT};
}

static void
test_round_trip(void)
{
	FrPackedItem items[ITEM_COUNT];
	FrPackFileContents contents = small_contents(items);
	Output output;
	FrPackFile file;
	FrError error;
	bool are_found = true;

	is_status(write_output(&contents, &output, &fr_allocator_malloc, &error),
			  FR_OK, &error, "a file is written");
	is_int(output.size_bytes, output.capacity, "it has the announced size");
	is_status(open_and_verify(fr_bytes(output.bytes, output.size_bytes), &file,
							  &error),
			  FR_OK, &error, "and is sound");
	ok(file.image.length == 777 && memcmp(file.image.data, data, 777) == 0,
	   "the image is the same");
	is_int(file.item_count, ITEM_COUNT, "so is the number of items");
	for (int i = 0; i < ITEM_COUNT; i++)
	{
		const void *found =
			fr_pack_file_find(&file, items[i].key, items[i].size_bytes);

		are_found = are_found && found && (uintptr_t) found % 64 == 0 &&
					memcmp(found, items[i].data, items[i].size_bytes) == 0;
	}
	ok(are_found, "every key leads to its data");
	ok(!fr_pack_file_find(&file, fr_bytes("b", 1), 99),
	   "not if the size is another");
	ok(!fr_pack_file_find(&file, fr_bytes("c", 1), 100), "nor another key");
	is_status(fr_pack_file_open(fr_bytes(output.bytes, output.size_bytes),
								other_identity, &file, &error),
			  FR_ERR_MISMATCH, &error, "another identity is refused");
	free(output.bytes);
}

static void
test_empty(void)
{
	const FrPackFileContents contents = {.identity = identity};
	Output output;
	FrPackFile file;
	FrError error;

	is_status(write_output(&contents, &output, &fr_allocator_malloc, &error),
			  FR_OK, &error, "a file of nothing is written");
	is_status(open_and_verify(fr_bytes(output.bytes, output.size_bytes), &file,
							  &error),
			  FR_OK, &error, "and is sound");
	ok(!fr_pack_file_find(&file, fr_bytes("a", 1), 0), "nothing is in it");
	free(output.bytes);
}

/* Every bit of the file is under a checksum. */
static void
test_damage(void)
{
	FrPackedItem items[ITEM_COUNT];
	FrPackFileContents contents = small_contents(items);
	Output output;
	FrPackFile file;
	FrError error;
	size_t missed = 0;

	write_output(&contents, &output, &fr_allocator_malloc, &error);
	for (size_t bit = 0; bit < 8 * output.size_bytes; bit++)
	{
		output.bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
		missed += open_and_verify(fr_bytes(output.bytes, output.size_bytes),
								  &file, &error) == FR_OK;
		output.bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}
	is_int(missed, 0, "each of %zu flipped bits is noticed",
		   8 * output.size_bytes);
	missed = 0;
	for (size_t size = 0; size < output.size_bytes; size++)
	{
		uint8_t *cut = aligned_memory(size);

		memcpy(cut, output.bytes, size);
		missed += fr_pack_file_open(fr_bytes(cut, size), identity, &file,
									&error) == FR_OK;
		free(cut);
	}
	is_int(missed, 0, "each of %zu shorter files is refused",
		   output.size_bytes);
	free(output.bytes);
}

/* A header that lies consistently, its checksum renewed. */
static void
test_lies(void)
{
	FrPackedItem items[ITEM_COUNT];
	FrPackFileContents contents = small_contents(items);
	static const uint64_t values[] = {
		0, 1, 63, 4096, 1u << 31, UINT64_MAX, UINT64_MAX - 63};
	Output output;
	FrPackFile file;
	FrError error;
	int tried = 0;

	write_output(&contents, &output, &fr_allocator_malloc, &error);
	for (size_t offset = 16; offset < 184; offset += 8)
		for (size_t v = 0; v < sizeof values / sizeof *values; v++)
		{
			uint64_t *word = (uint64_t *) (void *) (output.bytes + offset);
			uint64_t *sum = (uint64_t *) (void *) (output.bytes + 184);
			uint64_t kept = *word, kept_sum = *sum;

			*word = values[v];
			*sum = fr_checksum(output.bytes, 184, 0);
			/* sanitizers see what goes wrong */
			open_and_verify(fr_bytes(output.bytes, output.size_bytes), &file,
							&error);
			*word = kept;
			*sum = kept_sum;
			tried++;
		}
	ok(tried > 100, "%d headers that lie do no harm", tried);
	free(output.bytes);
}

static bool
refuse(void *context, const void *bytes, size_t size_bytes)
{
	(void) bytes;
	(void) size_bytes;
	return --*(int *) context > 0;
}

static void
test_failures(void)
{
	FrPackedItem items[ITEM_COUNT];
	FrPackFileContents contents = small_contents(items);
	TestMemory memory = {.fail_at = 1};
	FrAllocator allocator = test_allocator(&memory);
	Output output;
	FrError error;
	bool are_refused = true;

	is_status(write_output(&contents, &output, &allocator, &error),
			  FR_ERR_NOMEM, &error, "no memory for the index");
	is_int(memory.live, 0, "nothing leaks");
	free(output.bytes);
	for (int n = 1; n < 8; n++)
	{
		int left = n;
		FrPackSink sink = {refuse, &left};

		are_refused &=
			fr_pack_file_write(&contents, &sink, NULL, &fr_allocator_malloc,
							   &error) == FR_ERR_LIMIT;
	}
	ok(are_refused, "a full disk is told of, whenever it is full");
	for (int n = 0; n < 8; n++)
	{
		int left = n;
		FrCancel cancel = {test_count_down, &left};
		int many = 1000;
		FrPackSink sink = {refuse, &many};

		are_refused &=
			fr_pack_file_write(&contents, &sink, &cancel, &fr_allocator_malloc,
							   &error) == FR_ERR_CANCELLED;
	}
	ok(are_refused, "so is a cancel");
}

/* A file on a bad disk: the read number left fails. */
typedef struct BadSource
{
	FrBytes bytes;
	int left;
} BadSource;

static bool
read_badly(void *context, uint64_t offset, void *bytes, size_t size_bytes)
{
	BadSource *source = context;

	return source->left-- > 0 &&
		   read_bytes(&source->bytes, offset, bytes, size_bytes);
}

static void
test_bad_disk(void)
{
	FrPackedItem items[ITEM_COUNT];
	FrPackFileContents contents = small_contents(items);
	BadSource bad = {.left = 100};
	FrPackSource source = {.read = read_badly, .context = &bad};
	bool are_told = true;
	TestMemory memory;
	FrAllocator allocator;
	Output output;
	FrError error;

	write_output(&contents, &output, &fr_allocator_malloc, &error);
	bad.bytes = fr_bytes(output.bytes, output.size_bytes);
	source.size_bytes = output.size_bytes;
	is_status(fr_pack_file_verify(&source, identity, NULL, &fr_allocator_malloc,
								  &error),
			  FR_OK, &error, "a file is verified by reading it");

	int reads = 100 - bad.left;

	/* header, index, image, four items that are not empty */
	is_int(reads, 7, "in so many pieces");
	for (int n = 0; n < reads; n++)
	{
		memory = (TestMemory){0};
		allocator = test_allocator(&memory);
		bad.left = n;
		are_told &= fr_pack_file_verify(&source, identity, NULL, &allocator,
										&error) == FR_ERR_CORRUPT &&
					memory.live == 0;
	}
	ok(are_told, "each of them may be what the disk does not give");
	for (int n = 1; n <= 2; n++)
	{
		memory = (TestMemory){.fail_at = n};
		allocator = test_allocator(&memory);
		are_told &=
			verify_bytes(bad.bytes, &allocator, &error) == FR_ERR_NOMEM &&
			memory.live == 0;
	}
	ok(are_told, "lack of memory is no damage");
	for (int n = 0; n < 5; n++)
	{
		int left = n;
		FrCancel cancel = {test_count_down, &left};

		bad.left = 100;
		are_told &= fr_pack_file_verify(&source, identity, &cancel,
										&fr_allocator_malloc,
										&error) == FR_ERR_CANCELLED;
	}
	ok(are_told, "nor is a cancel");
	free(output.bytes);
}

/* ---- nets ------------------------------------------------------------------- */

/* Groups, depthwise, transposed, factors folded on both sides. */
static OnnxBuffer
build_net(void)
{
	OnnxModel model;

	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, (int64_t[]){-1, 3, 12, 10});
	onnx_output(&model, "y", 2, (int64_t[]){-1, 7});
	add_batch_norm(&model, "x", "z", 3);
	add_conv(&model, "z", "a",
			 (ConvLayer){.in = 3, .out = 20, .kernel_h = 3, .has_bias = true});
	add_batch_norm(&model, "a", "b", 20);
	add_conv(&model, "b", "c",
			 (ConvLayer){.in = 20, .out = 40, .kernel_h = 3, .group = 2});
	add_batch_norm(&model, "c", "d", 40);
	add_conv(&model, "d", "e",
			 (ConvLayer){.in = 40, .out = 40, .kernel_h = 3, .group = 40});
	add_batch_norm(&model, "e", "f", 40);
	onnx_node(&model, "Flatten", "flat", "f", "g");
	check_weight(&model, "m", CHECK_DIMS(40 * 6 * 4, 7));
	onnx_node(&model, "MatMul", "fc", "g m", "y");
	return onnx_finish(&model);
}

/* Quantise and dequantise: input -> output, both floats. */
static void
add_qdq(OnnxModel *model, const char *input, const char *output)
{
	static const uint8_t zero = 128;
	static const float scale = 1.0f / 32.0f;
	char names[64], code[16], zero_name[16], scale_name[16];

	snprintf(code, sizeof code, "%s.q", output);
	snprintf(zero_name, sizeof zero_name, "%s.zero", output);
	snprintf(scale_name, sizeof scale_name, "%s.scale", output);
	onnx_weight_raw(model, zero_name, ONNX_UINT8, 0, NULL, &zero, 1);
	onnx_weight_f32(model, scale_name, 0, NULL, &scale);
	snprintf(names, sizeof names, "%s %s %s", input, scale_name, zero_name);
	onnx_node(model, "QuantizeLinear", code, names, code);
	snprintf(names, sizeof names, "%s %s %s", code, scale_name, zero_name);
	onnx_node(model, "DequantizeLinear", output, names, output);
}

/* A convolution of 8-bit weights behind one that is quantised. */
static OnnxBuffer
build_int8_net(void)
{
	static int8_t weights[7 * 20 * 12 * 10];
	static float scales[7];
	const int64_t dims[] = {7, 20, 12, 10};
	OnnxModel model;

	for (size_t i = 0; i < sizeof weights; i++)
		weights[i] = (int8_t) (i * 37 % 251 - 125);
	for (int i = 0; i < 7; i++)
		scales[i] = 1.0f / (float) (64 << i);
	onnx_begin(&model, 13);
	onnx_input(&model, "x", 4, (int64_t[]){-1, 3, 12, 10});
	onnx_output(&model, "y", 2, (int64_t[]){-1, 7});
	add_conv(
		&model, "x", "a",
		(ConvLayer){.in = 3, .out = 20, .kernel_h = 3, .pads = {1, 1, 1, 1}});
	add_qdq(&model, "a", "b");
	onnx_weight_raw(&model, "w", ONNX_INT8, 4, dims, weights, sizeof weights);
	onnx_weight_f32(&model, "ws", 1, dims, scales);
	onnx_node(&model, "DequantizeLinear", "wd", "w ws", "wd");
	onnx_attr_int(&model, "axis", 0);
	onnx_node(&model, "Conv", "conv8", "b wd", "c");
	onnx_node(&model, "Flatten", "flat", "c", "y");
	return onnx_finish(&model);
}

/* The aligned image of a model, which is freed. */
static OnnxBuffer
align_image(OnnxBuffer file)
{
	OnnxBuffer image = {.size_bytes =
							fr_onnx_aligned_size(file.data, file.size_bytes)};
	FrError error;

	image.data = aligned_memory(image.size_bytes);
	fr_onnx_align(file.data, file.size_bytes, image.data, NULL, &error);
	free(file.data);
	return image;
}

typedef struct Items
{
	FrPackedItem items[64];
	int count, found;
} Items;

static bool
collect(void *context, const FrPackedItem *item)
{
	Items *list = context;

	if (list->count < 64)
		list->items[list->count++] = *item;
	list->found += item->is_found;
	return true;
}

static FrNet *
run_net(const OnnxBuffer *image, const FrNetOptions *options, int batch,
		float *out)
{
	const FrShape shape = {.rank = 4, .dims = {batch, 3, 12, 10}};
	FrPlan *plan = NULL;
	FrError error = {0};
	FrStatus status;
	FrNet *net =
		check_net(image, options, &fr_allocator_malloc, &status, &error);

	if (status == FR_OK)
		status = fr_net_plan(net, &shape, NULL, &plan, &error);
	if (status == FR_OK)
	{
		check_fill_input(fr_plan_input(plan, 0), &shape, 5);
		status = fr_plan_run(plan, NULL, &error);
	}
	if (status == FR_OK)
		memcpy(out, fr_plan_output(plan, 0, NULL),
			   (size_t) batch * 7 * sizeof(float));
	else
		diag("%s", error.message);
	return net;
}

static void
test_nets(const char *isa, const OnnxBuffer *image, int pieces)
{
	FrNetOptions options = {.kernels = fr_kernels_by_name(isa),
							.weights.image =
								fr_bytes(image->data, image->size_bytes)};
	float plain[7] = {0}, packed[7] = {1}, found[14] = {2};
	Items own = {.count = 0}, shared = {.count = 0}, more = {.count = 0};
	FrPackFileContents contents = {.identity = identity,
								   .image = options.weights.image};
	FrNetOptions bare = {.kernels = options.kernels};
	OnnxBuffer mapped;
	Output output;
	FrPackFile file;
	FrError error;

	if (!options.kernels)
	{
		skip(isa, "not on this CPU");
		return;
	}

	FrNet *without = run_net(image, &bare, 1, plain);
	FrNet *first = run_net(image, &options, 1, packed);

	fr_net_each_packed(without, collect, &own);
	is_int(own.count, 0, "%s: without an image there are no keys", isa);
	fr_net_each_packed(first, collect, &own);
	ok(own.count == pieces && own.found == 0, "%s: %d pieces are packed", isa,
	   own.count);
	ok(memcmp(plain, packed, sizeof plain) == 0, "%s: keys change nothing",
	   isa);
	contents.items = own.items;
	contents.item_count = own.count;
	is_status(write_output(&contents, &output, &fr_allocator_malloc, &error),
			  FR_OK, &error, "%s: they are written", isa);
	is_status(open_and_verify(fr_bytes(output.bytes, output.size_bytes), &file,
							  &error),
			  FR_OK, &error, "%s: the file is sound", isa);

	/* A net of the file, at another address. */
	mapped = (OnnxBuffer){.data = (uint8_t *) (uintptr_t) file.image.data,
						  .size_bytes = file.image.length};
	options.weights = (FrWeightCache){
		.image = file.image, .find = fr_pack_file_find, .context = &file};

	FrNet *second = run_net(&mapped, &options, 1, found);

	fr_net_each_packed(second, collect, &shared);
	is_int(shared.found, own.count, "%s: every piece is found", isa);
	is_int(shared.count, own.count, "%s: and no other needed", isa);
	ok(memcmp(plain, found, sizeof plain) == 0, "%s: the same bits", isa);
	ok(fr_net_bytes(second) < fr_net_bytes(first),
	   "%s: %zu bytes instead of %zu", isa, fr_net_bytes(second),
	   fr_net_bytes(first));

	FrNet *third = run_net(&mapped, &options, 2, found);

	fr_net_each_packed(third, collect, &more);
	is_int(more.count - more.found, 0, "%s: a batch needs nothing else", isa);
	fr_net_destroy(without);
	fr_net_destroy(first);
	fr_net_destroy(second);
	fr_net_destroy(third);
	free(output.bytes);
}

/* Any allocation may fail, with an image and with a file: NOMEM, no leak. */
static void
test_net_failures(const OnnxBuffer *image)
{
	const FrShape shape = {.rank = 4, .dims = {1, 3, 12, 10}};
	FrNetOptions options = {.kernels = fr_kernels_by_name("generic"),
							.weights.image =
								fr_bytes(image->data, image->size_bytes)};
	FrPackFileContents contents = {.identity = identity,
								   .image = options.weights.image};
	float out[7];
	Items own = {.count = 0};
	FrNet *packed = run_net(image, &options, 1, out);
	Output output;
	FrPackFile file;
	FrError error;

	fr_net_each_packed(packed, collect, &own);
	contents.items = own.items;
	contents.item_count = own.count;
	write_output(&contents, &output, &fr_allocator_malloc, &error);
	open_and_verify(fr_bytes(output.bytes, output.size_bytes), &file, &error);
	for (int has_file = 0; has_file < 2; has_file++)
	{
		TestMemory memory = {0};
		FrAllocator allocator = test_allocator(&memory);
		FrStatus status = FR_ERR_NOMEM;
		bool are_refused = true;
		long n = 0;

		if (has_file)
		{
			options.weights.find = fr_pack_file_find;
			options.weights.context = &file;
		}
		while (status != FR_OK && n < 10000)
		{
			FrPlan *plan;

			memory = (TestMemory){.fail_at = ++n};

			FrNet *net =
				check_net(image, &options, &allocator, &status, &error);

			if (status == FR_OK)
				status = fr_net_plan(net, &shape, NULL, &plan, &error);
			fr_net_destroy(net);
			are_refused &=
				(status == FR_ERR_NOMEM || status == FR_OK) && memory.live == 0;
		}
		ok(are_refused && n > 30,
		   "%s: each of %ld allocations may fail, and nothing leaks",
		   has_file ? "with a file" : "without a file", n - 1);
	}
	fr_net_destroy(packed);
	free(output.bytes);
}

static void
test_layouts(void)
{
	const FrKernels *generic = fr_kernels_by_name("generic");
	const FrKernels *wide = fr_kernels_by_name("avx512-fma");
	TestMemory memory = {.fail_at = 3};
	FrAllocator failing = test_allocator(&memory);
	uint64_t layout = fr_pack_layout(generic, &fr_allocator_malloc);

	ok(layout != 0, "the layout of packed weights has a number");
	ok(fr_pack_layout(generic, &fr_allocator_malloc) == layout,
	   "always the same");
	/* Those of AVX2 pack as the portable ones do. */
	if (wide)
		ok(fr_pack_layout(wide, &fr_allocator_malloc) != layout,
		   "two output blocks at a time make another");
	ok(fr_pack_layout(generic, &failing) == 0 && memory.live == 0,
	   "none when memory is short");
}

/* A word's change is always noticed. */
static void
test_checksum(void)
{
	uint8_t bytes[200];
	uint64_t seen;
	int missed = 0;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t) (i * 7);
	seen = fr_checksum(bytes, sizeof bytes, 0);
	for (size_t i = 0; i < sizeof bytes; i++)
		for (int change = 1; change < 256; change++)
		{
			bytes[i] = (uint8_t) (bytes[i] ^ change);
			missed += fr_checksum(bytes, sizeof bytes, 0) == seen;
			bytes[i] = (uint8_t) (bytes[i] ^ change);
		}
	is_int(missed, 0, "no change of a byte is missed");
	ok(fr_checksum(bytes, sizeof bytes, 1) != seen, "the seed matters");
	ok(fr_checksum(bytes, 199, 0) != fr_checksum(bytes, 200, 0),
	   "so does the length");
}

int
main(void)
{
	OnnxBuffer image = align_image(build_net());
	OnnxBuffer int8_image = align_image(build_int8_net());

	test_checksum();
	test_round_trip();
	test_empty();
	test_damage();
	test_lies();
	test_failures();
	test_bad_disk();
	for (int i = 0; i < CHECK_ISA_COUNT; i++)
	{
		test_nets(check_isas[i], &image, 5);
		test_nets(check_isas[i], &int8_image, 2);
	}
	test_net_failures(&image);
	test_layouts();
	free(image.data);
	free(int8_image.data);
	return tap_done();
}
