/*
 * bench_models.c: time of whole networks and of their steps.
 *
 * usage: bench_models [part of a model's name [isa]]
 * One line per model and instruction set: time, rate, per cent of the peak of
 * multiply-adds (peak.h), memory.  With a name and an instruction set: also
 * one line per step, the median of many runs, with its share and rate.
 */
#include "model_cases.h"
#include "peak.h"

#define MAX_STEPS 512
#define MAX_RUNS  400

static struct
{
	const char *name;
	double peak; /* GFLOP/s, 0 until measured */
} isas[] = {{"generic", 0},
			{"avx2", 0},
			{"avx512-fma", 0},
			{"avx512-pairs", 0}};

/* What the probe needs to give each step its time. */
typedef struct Profile
{
	double (*times)[MAX_RUNS];
	int run;
	double last;
} Profile;

static void
add_time(void *context, int step)
{
	Profile *profile = context;
	double now = thread_seconds();

	if (step < MAX_STEPS)
		profile->times[step][profile->run] += now - profile->last;
	profile->last = now;
}

/* Times of one run's steps go to times[step][run]. */
static double
time_run(FrPlan *plan, const float *input, size_t input_bytes,
		 double (*times)[MAX_RUNS], int run)
{
	Profile profile = {times, run, 0.0};
	FrPlanProbe probe = {add_time, &profile};
	int steps = fr_plan_step_count(plan);
	double begin;

	memcpy(fr_plan_input(plan, 0), input, input_bytes);
	if (!times)
	{
		begin = thread_seconds();
		fr_plan_run(plan, NULL, NULL);
		return thread_seconds() - begin;
	}
	for (int i = 0; i < steps && i < MAX_STEPS; i++)
		times[i][run] = 0.0;
	begin = profile.last = thread_seconds();
	fr_plan_run_probed(plan, &probe, NULL, NULL);
	return thread_seconds() - begin;
}

/* Run for about a second; returns the number of runs. */
static int
time_runs(FrPlan *plan, const ModelCase *model, double (*times)[MAX_RUNS],
		  double *totals)
{
	double begin = thread_seconds();
	float *input = make_input(model);
	size_t floats = 0;
	int runs = 0;

	fr_shape_count(&model->shape, &floats);
	time_run(plan, input, floats * sizeof *input, NULL, 0);
	while (runs < MAX_RUNS && (runs < 5 || thread_seconds() - begin < 1.0))
	{
		totals[runs] =
			time_run(plan, input, floats * sizeof *input, times, runs);
		runs++;
	}
	free(input);
	return runs;
}

static void
print_steps(const FrPlan *plan, double (*times)[MAX_RUNS], int runs,
			double total)
{
	for (int i = 0; i < fr_plan_step_count(plan) && i < MAX_STEPS; i++)
	{
		FrPlanStep step;
		char shape[96];
		double seconds = median(times[i], (size_t) runs);

		fr_plan_step(plan, i, &step);
		printf("%9.1f us %5.1f %% %6.1f GF/s  %-52s %-20s %s\n", 1e6 * seconds,
			   100.0 * seconds / total, 1e-9 * step.flops / seconds,
			   step.kernel, fr_shape_text(&step.shape, shape, sizeof shape),
			   step.name);
	}
}

static double
plan_flops(const FrPlan *plan)
{
	double sum = 0;

	for (int i = 0; i < fr_plan_step_count(plan); i++)
	{
		FrPlanStep step;

		fr_plan_step(plan, i, &step);
		sum += step.flops;
	}
	return sum;
}

static void
bench_case(const ModelCase *model, const char *isa, double peak, bool has_steps)
{
	static double times[MAX_STEPS][MAX_RUNS], totals[MAX_RUNS];
	const FrKernels *kernels = fr_kernels_by_name(isa);
	size_t size = 0;
	void *bytes = kernels ? load_file(model_path(model), &size) : NULL;
	char shape[96];
	FrNet *net;

	if (!bytes)
		return;

	FrPlan *plan = open_plan(model, kernels, bytes, size, &net);
	int runs = time_runs(plan, model, has_steps ? times : NULL, totals);
	double total = median(totals, (size_t) runs);
	double rate = 1e-9 * plan_flops(plan) / total;

	printf("%-40s %-18s %-12s %9.3f ms %6.1f GF/s %3.0f%%  %6.2f MB plan "
		   "%6.2f MB net\n",
		   model->file, fr_shape_text(&model->shape, shape, sizeof shape), isa,
		   1e3 * total, rate, 100.0 * rate / peak,
		   1e-6 * (double) fr_plan_bytes(plan),
		   1e-6 * (double) fr_net_bytes(net));
	if (has_steps)
		print_steps(plan, times, runs, total);
	fr_net_destroy(net);
	free(bytes);
}

int
main(int argc, char **argv)
{
	for (size_t i = 0; i < MODEL_CASE_COUNT; i++)
	{
		if (argc > 1 && !strstr(model_cases[i].file, argv[1]))
			continue;
		for (size_t k = 0; k < sizeof isas / sizeof *isas; k++)
		{
			if (argc > 2 && !strstr(isas[k].name, argv[2]))
				continue;
			if (isas[k].peak == 0 && fr_kernels_by_name(isas[k].name))
				isas[k].peak = peak_gflops(isas[k].name);
			bench_case(&model_cases[i], isas[k].name, isas[k].peak, argc > 2);
		}
	}
	return 0;
}
