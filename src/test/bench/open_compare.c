/*
 * open_compare.c: opening a model in a second process, and creating a session
 * of ONNX Runtime.
 *
 * usage: ORT_LIB=.../libonnxruntime.so.1 open_compare model.onnx height width
 *        [runs]
 *
 * Packs the weights once and writes the file that processes share; then maps
 * it, imports, makes the net and plans it for one picture, by turns with
 * ONNX Runtime's creation of a session (one thread, all optimisations; it
 * packs when it is created).  Both files are in the page cache.  Prints
 * medians of the wall time and the thread's CPU time, and of the CPU time up
 * to the first result, since a mapping's pages are only taken when they are
 * read; without ORT_LIB our part alone.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/nn/pack_file.h"
#include "core/onnx/aligned.h"
#include "core/onnx/import.h"
#include "ort_binding.h"

#define MAX_ITEMS 4096
#define MAX_RUNS  100

static const uint8_t identity[FR_PACK_IDENTITY_BYTES] = "open_compare";

typedef struct Items
{
	FrPackedItem items[MAX_ITEMS];
	int count;
} Items;

static double
clock_seconds(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

static double
wall_seconds(void)
{
	return clock_seconds(CLOCK_MONOTONIC);
}

static double
cpu_seconds(void)
{
	return clock_seconds(CLOCK_THREAD_CPUTIME_ID);
}

/* What one opening took. */
typedef struct Opening
{
	double wall, cpu; /* until the model can be run */
	double first;	  /* CPU, until the first result is there */
} Opening;

static void
check(FrStatus status, const FrError *error)
{
	if (status == FR_OK)
		return;
	fprintf(stderr, "%s\n", error->message);
	exit(1);
}

/* Bytes of a file, mapped. */
static FrBytes
map_file(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &status) != 0)
	{
		perror(path);
		exit(1);
	}

	void *bytes =
		mmap(NULL, (size_t) status.st_size, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	if (bytes == MAP_FAILED)
		exit(1);
	return fr_bytes(bytes, (size_t) status.st_size);
}

static bool
collect(void *context, const FrPackedItem *item)
{
	Items *list = context;

	if (list->count < MAX_ITEMS)
		list->items[list->count++] = *item;
	return true;
}

static bool
write_piece(void *context, const void *bytes, size_t size_bytes)
{
	return fwrite(bytes, 1, size_bytes, context) == size_bytes;
}

/* Import, plan; file is NULL where weights are to be packed. */
static FrNet *
make_net(FrBytes image, const FrPackFile *file, const FrShape *shape,
		 FrPlan **plan)
{
	FrNetOptions options = {.weights.image = image};
	FrError error;
	FrGraph graph;
	FrNet *net;

	if (file)
	{
		options.weights.find = fr_pack_file_find;
		options.weights.context = (void *) (uintptr_t) file;
	}
	check(fr_onnx_import(image.data, image.length, &fr_allocator_malloc, &graph,
						 &error),
		  &error);
	check(fr_net_create(&graph, &options, &fr_allocator_malloc, &net, &error),
		  &error);
	check(fr_net_plan(net, shape, NULL, plan, &error), &error);
	return net;
}

/* What the first process does. */
static double
write_file(const char *model, const char *path, const FrShape *shape)
{
	static Items list;
	double start = wall_seconds();
	FrBytes onnx = map_file(model);
	size_t size_bytes = fr_onnx_aligned_size(onnx.data, onnx.length);
	void *image = fr_alloc_aligned(&fr_allocator_malloc, size_bytes);
	FILE *file = fopen(path, "wb");
	FrPlan *plan;
	FrError error;

	if (!image || !file)
		exit(1);
	check(fr_onnx_align(onnx.data, onnx.length, image, NULL, &error), &error);

	FrNet *net = make_net(fr_bytes(image, size_bytes), NULL, shape, &plan);
	FrPackSink sink = {write_piece, file};

	fr_net_each_packed(net, collect, &list);

	FrPackFileContents contents = {.identity = identity,
								   .image = fr_bytes(image, size_bytes),
								   .items = list.items,
								   .item_count = list.count};

	check(fr_pack_file_write(&contents, &sink, NULL, &fr_allocator_malloc,
							 &error),
		  &error);
	fclose(file);
	fr_net_destroy(net);
	fr_release_aligned(&fr_allocator_malloc, image);
	munmap((void *) (uintptr_t) onnx.data, onnx.length);
	return wall_seconds() - start;
}

/* What every other process does; the net is dropped again. */
static Opening
open_file(const char *path, const FrShape *shape)
{
	double wall = wall_seconds(), cpu = cpu_seconds();
	FrBytes bytes = map_file(path);
	FrPackFile file;
	FrPlan *plan;
	FrError error;

	check(fr_pack_file_open(bytes, identity, &file, &error), &error);

	FrNet *net = make_net(file.image, &file, shape, &plan);
	Opening opening = {.wall = wall_seconds() - wall,
					   .cpu = cpu_seconds() - cpu};
	size_t count = 0;

	fr_shape_count(shape, &count);
	memset(fr_plan_input(plan, 0), 0, count * sizeof(float));
	check(fr_plan_run(plan, NULL, &error), &error);
	opening.first = cpu_seconds() - cpu;
	fr_net_destroy(net);
	munmap((void *) (uintptr_t) bytes.data, bytes.length);
	return opening;
}

/* The same for ONNX Runtime. */
static Opening
open_session(const OrtLibrary *library, const char *path, const FrShape *shape,
			 float *input)
{
	double wall = wall_seconds(), cpu = cpu_seconds();
	OrtModel model;
	Opening opening;

	ort_load(library, path, &model);
	opening.wall = wall_seconds() - wall;
	opening.cpu = cpu_seconds() - cpu;

	void *tensor = ort_tensor(library, input, shape->dims, shape->rank);

	ort_run(&model, tensor);
	opening.first = cpu_seconds() - cpu;
	ORT_RELEASE(library, ORT_RELEASE_VALUE, tensor);
	ort_unload(&model);
	return opening;
}

static bool
read_from(void *context, uint64_t offset, void *bytes, size_t size_bytes)
{
	return pread(*(const int *) context, bytes, size_bytes, (off_t) offset) ==
		   (ssize_t) size_bytes;
}

static double
verify_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	double start = wall_seconds();
	FrPackSource source = {.read = read_from, .context = &fd};
	struct stat status;
	FrError error;

	if (fd < 0 || fstat(fd, &status) != 0)
	{
		perror(path);
		exit(1);
	}
	source.size_bytes = (size_t) status.st_size;
	check(fr_pack_file_verify(&source, identity, NULL, &fr_allocator_malloc,
							  &error),
		  &error);

	double seconds = wall_seconds() - start;

	close(fd);
	return seconds;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;

	return (x > y) - (x < y);
}

/* The median of the field at an offset. */
static double
median_of(const Opening *openings, int count, size_t offset)
{
	double values[MAX_RUNS];

	for (int i = 0; i < count; i++)
		memcpy(&values[i], (const char *) &openings[i] + offset,
			   sizeof *values);
	qsort(values, (size_t) count, sizeof *values, by_value);
	return values[count / 2];
}

/* Print the medians of one clock, and their ratio when there are two. */
static void
print_clock(const char *clock, size_t offset, const Opening *own,
			const Opening *other, int runs)
{
	double ours = median_of(own, runs, offset);

	printf("  %-25s %8.2f ms", clock, 1e3 * ours);
	if (other)
	{
		double theirs = median_of(other, runs, offset);

		printf(" %8.1f ms %6.1fx", 1e3 * theirs, theirs / ours);
	}
	printf("\n");
}

int
main(int argc, char **argv)
{
	static Opening own[MAX_RUNS], other[MAX_RUNS];
	static OrtLibrary library;
	const char *path = "/tmp/facerec_open_compare.weights";

	if (argc < 4)
	{
		fprintf(stderr, "usage: %s model.onnx height width [runs]\n", argv[0]);
		return 0; /* make bench runs every program without arguments */
	}

	FrShape shape = {.rank = 4, .dims = {1, 3, atoi(argv[2]), atoi(argv[3])}};
	int runs = argc > 4 ? atoi(argv[4]) : 7;
	int has_ort = ort_open(&library);

	size_t count = 0;

	if (runs < 1 || runs > MAX_RUNS || !fr_shape_count(&shape, &count))
		return 1;

	float *input = calloc(count + 1, sizeof *input);

	if (!input)
		return 1;
	printf("%s\n  first process: pack and write %.1f ms\n", argv[1],
		   1e3 * write_file(argv[1], path, &shape));
	printf("  checking all checksums: %.1f ms\n", 1e3 * verify_file(path));
	if (has_ort)
		printf("  by turns with ONNX Runtime %s's creation of a session:\n",
			   library.version);
	for (int i = 0; i < runs; i++)
	{
		own[i] = open_file(path, &shape);
		if (has_ort)
			other[i] = open_session(&library, argv[1], &shape, input);
	}
	unlink(path);
	free(input);

	const Opening *theirs = has_ort ? other : NULL;

	print_clock("open, wall", offsetof(Opening, wall), own, theirs, runs);
	print_clock("open, CPU", offsetof(Opening, cpu), own, theirs, runs);
	print_clock("open and first run, CPU", offsetof(Opening, first), own,
				theirs, runs);
	return 0;
}
