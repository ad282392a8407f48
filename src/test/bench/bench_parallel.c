/*
 * bench_parallel.c: what processes lose that run the same network at once.
 *
 * usage: bench_parallel [part of a model's name [processes [seconds]]]
 * By default ir50 (of make_models.py) and two.  The network is opened once;
 * the processes are forked from there and pinned to a CPU each, so that they
 * share the packed weights' memory as backends share the cache file, and each
 * writes to an arena of its own.  Median thread CPU time of a run, alone and
 * together: waiting for memory counts, other programs on the machine do not.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model_cases.h"

#define MAX_RUNS	  2000
#define MAX_PROCESSES 64

typedef struct Shared
{
	atomic_int ready; /* processes that have warmed up */
	double medians[MAX_PROCESSES];
} Shared;

static void
pin(int process)
{
	cpu_set_t allowed, one;
	int seen = 0;

	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
		return;
	process %= CPU_COUNT(&allowed);
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && seen++ == process)
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
}

static double
wall_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

static double
run_once(FrPlan *plan, const float *input, size_t bytes)
{
	double begin = thread_seconds();

	memcpy(fr_plan_input(plan, 0), input, bytes);
	fr_plan_run(plan, NULL, NULL);
	return thread_seconds() - begin;
}

/* One process: runs for seconds once all are ready. */
static double
run_process(FrPlan *plan, const ModelCase *model, int processes, double seconds,
			Shared *shared)
{
	static double times[MAX_RUNS];
	float *input = make_input(model);
	size_t floats = 0, runs = 0;

	fr_shape_count(&model->shape, &floats);
	run_once(plan, input, floats * sizeof *input);
	atomic_fetch_add(&shared->ready, 1);
	while (atomic_load(&shared->ready) < processes)
		sched_yield();

	double begin = wall_seconds();

	while (runs < MAX_RUNS && (runs < 3 || wall_seconds() - begin < seconds))
		times[runs++] = run_once(plan, input, floats * sizeof *input);
	free(input);
	return median(times, runs);
}

/* The slowest median of this many processes at once. */
static double
run_together(FrPlan *plan, const ModelCase *model, int processes,
			 double seconds, Shared *shared)
{
	double slowest = 0.0;

	atomic_store(&shared->ready, 0);
	for (int i = 0; i < processes; i++)
		if (fork() == 0)
		{
			pin(i);
			shared->medians[i] =
				run_process(plan, model, processes, seconds, shared);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < processes; i++)
		if (shared->medians[i] > slowest)
			slowest = shared->medians[i];
	return slowest;
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "ir50";
	int processes = argc > 2 ? atoi(argv[2]) : 2;
	double seconds = argc > 3 ? atof(argv[3]) : 3.0;
	Shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
						  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (processes < 1 || processes > MAX_PROCESSES || shared == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < MODEL_CASE_COUNT; i++)
	{
		const ModelCase *model = &model_cases[i];
		size_t size_bytes;
		void *bytes;
		char shape[96];
		FrNet *net;

		if (!strstr(model->file, name) ||
			!(bytes = load_file(model_path(model), &size_bytes)))
			continue;

		FrPlan *plan =
			open_plan(model, fr_kernels_best(), bytes, size_bytes, &net);
		double alone = run_together(plan, model, 1, seconds, shared);
		double together = run_together(plan, model, processes, seconds, shared);

		printf("%-24s %-18s alone %8.2f ms, %d at once %8.2f ms each: %+.1f "
			   "%%\n",
			   model->file, fr_shape_text(&model->shape, shape, sizeof shape),
			   1e3 * alone, processes, 1e3 * together,
			   100.0 * (together / alone - 1.0));
		fr_net_destroy(net);
		free(bytes);
	}
	return 0;
}
