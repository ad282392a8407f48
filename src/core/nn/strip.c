/*
 * strip.c: which units run depth-first, a few rows at a time.
 *
 * A chain of units over large maps writes and reads megabytes that no L2
 * cache holds; and so do the smaller maps of a batch.  Run by turns, each
 * computing the few rows that its input has become complete for, they pass the
 * rows on while these are still in the cache; what only they read needs lines
 * for a few rows instead of a map.  When all rows of a map fit, a strip runs
 * image by image.  A strip is a range of the schedule.  Ranges are chosen by
 * dynamic programming over what they save: bytes that need not go through
 * memory, less the rows that overlap from one round to the next and are moved.
 * Results are the same bit by bit, because kernels compute each row alone.
 */
#include <limits.h>

#include "core/nn/planner.h"

/* Steps of one strip: sets of them are masks of 32 bits. */
#define MAX_MEMBERS 24

/* What the lines, weights and streamed rows of a strip may take.  Measured on
 * a cache of 1 MB: a round does not touch all of it twice, and moving fewer
 * rows gains more than the last lines lose.  The scratch of a Winograd member
 * (emit_winograd.c) is not counted: it is as large outside a strip. */
#define STRIP_BYTES (1200u << 10)

/* Smaller maps are read soon after they were written, one after another, which
 * prefetching serves well; the first step of a strip reads its input a few
 * rows at a time, which it does not. */
#define LARGE_MAP_BYTES (2000u << 10)

/* What one call of a kernel costs, in bytes that memory moves meanwhile. */
#define CALL_COST 2048.0

/* The same for the maps of several images. */
#define LARGE_BATCH_BYTES (768u << 10)

/* Rows of the first member in one round; or all of them, when there are not
 * too many: a strip of a batch then runs image by image. */
#define MAX_ROUND_ROWS 32
#define MAX_WHOLE_ROWS 128

/* Multiply-adds of one row: polls for cancellation are between rows. */
#define MAX_ROW_WORK 2.5e7

typedef struct Member
{
	const FrUnit *unit;
	FrSlot *slot; /* of the output */
	int32_t in_root, operand_root, out_root;
	/* Output row y needs the rows y * stride - pad .. + extent - 1 of the
	 * input; where it is enlarged, row y / factor. */
	int extent, stride, pad, factor;
	int in_rows, out_rows;
	size_t in_row_bytes, out_row_bytes, weight_bytes;
	uint32_t inputs, operands; /* members that write what this one reads */
	uint32_t readers;		   /* members that read what this one writes */
	bool is_line;			   /* nobody else does */
	bool is_whole;			   /* computes all rows or none */

	/* One round in the middle of the map: rows computed, how many rows
	 * behind the first member, rows to keep for the next round. */
	int per_round, delay, overlap;

	/* Simulated run: rows done, row at the top of the lines, most rows held
	 * at a time, whether a round leaves any to the next. */
	int done, start, lines;
	bool is_kept;
} Member;

typedef struct Chain
{
	int first, count; /* units */
	Member members[MAX_MEMBERS];
} Chain;

/* What the stage knows of all units and slots. */
typedef struct Finder
{
	FrPlanner *planner;
	int *last_use;	/* [slots]: the last unit that reads a root */
	bool *is_split; /* [slots]: a root with parts or other shapes */
	Chain chain;
} Finder;

static int
min_int(int a, int b)
{
	return a < b ? a : b;
}

static int
divide_up(int64_t a, int64_t b)
{
	return (int) (a > 0 ? (a + b - 1) / b : 0);
}

/* ---- which units can be members ------------------------------------------- */

static int32_t
root_of(const FrPlanner *planner, int32_t slot)
{
	return slot < 0 ? -1
					: (int32_t) (fr_slot_root(planner, slot) - planner->slots);
}

/* How the rows of a unit's output depend on those of its input; false when
 * the unit cannot run row by row. */
static bool
describe_rows(const FrPlanner *planner, Member *member)
{
	const FrUnit *unit = member->unit;
	const FrWindow *window = &unit->window;
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];

	member->extent = member->stride = member->factor = 1;
	member->pad = 0;
	member->is_whole = unit->kind == FR_UNIT_WINOGRAD;
	switch (unit->kind)
	{
		case FR_UNIT_CONV:
		case FR_UNIT_WINOGRAD:
		case FR_UNIT_DEPTHWISE:
		case FR_UNIT_POOL:
			member->extent = (window->kernel[0] - 1) * window->dilation[0] + 1;
			member->stride = window->stride[0];
			member->pad = window->pad[0];
			break;
		case FR_UNIT_UPSAMPLE:
			member->factor = unit->factor_h;
			break;
		case FR_UNIT_ELTWISE:
		case FR_UNIT_COPY:
		case FR_UNIT_BLOCK:
		case FR_UNIT_UNBLOCK:
		case FR_UNIT_NHWC:
			break;
		case FR_UNIT_PLAIN:
		case FR_UNIT_ALIAS:
		case FR_UNIT_ACTIVATE:
		case FR_UNIT_SOFTMAX:
		case FR_UNIT_AVERAGE:
		case FR_UNIT_CONCAT:
		case FR_UNIT_INT8:
		case FR_UNIT_QUANTIZE:
		case FR_UNIT_DEQUANTIZE:
		case FR_UNIT_KIND_COUNT:
			return false;
	}
	member->in_rows = in->lanes ? in->height : out->height;
	member->out_rows = out->lanes ? out->height : in->height;
	return member->out_rows > 1;
}

static size_t
row_bytes(const FrSlot *slot, const FrSlot *other)
{
	/* A plain tensor has the dimensions of its blocked form. */
	size_t floats = slot->lanes
						? (size_t) slot->row * (size_t) slot->blocks
						: (size_t) other->width * (size_t) other->channels;

	return floats * sizeof(float);
}

/* Weights and the work of a row, where there are any. */
static bool
describe_work(const FrPlanner *planner, Member *member)
{
	const FrUnit *unit = member->unit;
	const FrSlot *in = &planner->slots[unit->in_slot];
	const FrSlot *out = &planner->slots[unit->out_slot];
	double taps;

	member->in_row_bytes = row_bytes(in, out);
	member->out_row_bytes = row_bytes(out, in);
	if (unit->kind == FR_UNIT_WINOGRAD)
		member->weight_bytes = (size_t) FR_WINOGRAD_POSITIONS(unit->tile) *
							   sizeof(float) * (size_t) unit->in_channels *
							   (size_t) unit->out_channels;
	if (unit->kind != FR_UNIT_CONV && unit->kind != FR_UNIT_DEPTHWISE)
		return true;
	taps = (double) unit->window.kernel[0] * unit->window.kernel[1] *
		   unit->in_channels / unit->window.group * out->blocks * FR_BLOCK;
	member->weight_bytes = (size_t) (taps * sizeof(float));
	return taps * out->width <= MAX_ROW_WORK;
}

/* Add a unit to the chain; false when it cannot be part of it. */
static bool
add_member(Finder *finder, int index)
{
	const FrPlanner *planner = finder->planner;
	Chain *chain = &finder->chain;
	Member *member = &chain->members[chain->count];
	const FrUnit *unit = planner->units[index];

	if (chain->count == MAX_MEMBERS || unit->kind == FR_UNIT_PLAIN)
		return false;
	*member = (Member){.unit = unit, .slot = &planner->slots[unit->out_slot]};
	if (!describe_rows(planner, member) || !describe_work(planner, member))
		return false;
	member->in_root = root_of(planner, unit->in_slot);
	member->operand_root = root_of(planner, unit->operand_slot);
	member->out_root = root_of(planner, unit->out_slot);

	const int32_t vector = root_of(planner, unit->vector_slot);
	uint32_t bit = (uint32_t) 1 << chain->count;

	for (int m = 0; m < chain->count; m++)
	{
		Member *other = &chain->members[m];
		bool is_input = other->out_root == member->in_root;
		bool is_operand = other->out_root == member->operand_root;

		/* What is read as a whole must be complete before. */
		if (other->out_root == vector ||
			(is_operand && unit->is_operand_vector) ||
			(is_input && other->out_rows != member->in_rows) ||
			(is_operand && other->out_rows != member->out_rows) ||
			(is_input && planner->slots[unit->in_slot].lanes == 0))
			return false;
		if (is_input)
			member->inputs |= (uint32_t) 1 << m;
		if (is_operand)
			member->operands |= (uint32_t) 1 << m;
		if (is_input || is_operand)
			other->readers |= bit;
	}
	chain->count++;
	return true;
}

/* Images that all members run for; 0 when they differ. */
static int64_t
chain_images(const FrPlanner *planner, const Chain *chain)
{
	int64_t images = 0;

	for (int m = 0; m < chain->count; m++)
	{
		const FrSlot *slot = chain->members[m].slot;

		if (!slot->lanes)
			slot = &planner->slots[chain->members[m].unit->in_slot];
		if (images && images != slot->images)
			return 0;
		images = slot->images;
	}
	return images;
}

/* Whose output needs lines only: all who read it are members. */
static void
find_lines(const Finder *finder, Chain *chain)
{
	for (int m = 0; m < chain->count; m++)
	{
		Member *member = &chain->members[m];
		int32_t root = member->out_root;

		member->is_line = member->slot->lanes && member->readers &&
						  member->slot == &finder->planner->slots[root] &&
						  !finder->is_split[root] && !member->slot->is_output &&
						  finder->last_use[root] < chain->first + chain->count;
	}
}

/* ---- what a strip would save ----------------------------------------------- */

/* How far each member runs behind, and how many rows its readers need again
 * in the next round, if there is one. */
static void
find_overlaps(Chain *chain, int rows)
{
	for (int m = 0; m < chain->count; m++)
	{
		Member *member = &chain->members[m];

		member->per_round = min_int(divide_up((int64_t) member->out_rows * rows,
											  chain->members[0].out_rows),
									member->out_rows);
		member->delay = member->overlap = 0;
		for (int k = 0; k < m; k++)
		{
			Member *writer = &chain->members[k];
			int delay = writer->delay;

			if (member->inputs >> k & 1)
				delay = member->factor > 1
							? delay * member->factor
							: divide_up((int64_t) delay - member->pad +
											member->extent - member->stride,
										member->stride);
			else if (!(member->operands >> k & 1))
				continue;
			if (delay > member->delay)
				member->delay = delay;
		}
	}
	for (int m = 0; m < chain->count && rows < chain->members[0].out_rows; m++)
		for (int k = 0; k < m; k++)
		{
			const Member *reader = &chain->members[m];
			Member *writer = &chain->members[k];
			int64_t need = 0;

			if (reader->inputs >> k & 1)
				need = reader->factor > 1
						   ? divide_up(reader->delay, reader->factor)
						   : (int64_t) reader->delay * reader->stride +
								 reader->pad;
			if (reader->operands >> k & 1 && need < reader->delay)
				need = reader->delay;
			need -= writer->delay;
			if (need > writer->overlap)
				writer->overlap =
					(int) (need < INT_MAX / 4 ? need : INT_MAX / 4);
		}
}

/* The bytes of a line that is empty between rounds, or 0. */
static size_t
transient_bytes(const Member *member)
{
	bool is_transient = member->is_line && member->overlap == 0 &&
						member->slot->fill == FR_FILL_NONE;

	return is_transient ? (size_t) member->per_round * member->out_row_bytes
						: 0;
}

/* Bytes that one round touches. */
static size_t
round_bytes(const Chain *chain)
{
	size_t bytes = 0, most = 0;

	for (int m = 0; m < chain->count; m++)
	{
		const Member *member = &chain->members[m];
		size_t transient = transient_bytes(member);

		bytes += member->weight_bytes;
		if (!transient)
			bytes += (size_t) (member->per_round + member->overlap) *
					 member->out_row_bytes;
		if (!member->inputs)
			bytes += (size_t) member->per_round * (size_t) member->stride *
					 member->in_row_bytes;
		for (int k = 0; k < m; k++)
			if ((member->inputs | member->operands) >> k & 1)
				transient += transient_bytes(&chain->members[k]);
		if (transient > most)
			most = transient;
	}
	return bytes + most;
}

/* Bytes that memory need not move, for one image of a batch: what passes
 * through memory is the map of all images, which only strips run by turns. */
static double
saved_bytes(const Chain *chain, int rows, int64_t images)
{
	double rounds = divide_up(chain->members[0].out_rows, rows);
	double saved = 0.0;

	for (int m = 0; m < chain->count; m++)
	{
		const Member *member = &chain->members[m];
		double map = (double) member->out_rows * (double) member->out_row_bytes;

		if (map * (double) images >
			(images > 1 ? LARGE_BATCH_BYTES : LARGE_MAP_BYTES))
			saved += map * (__builtin_popcount(member->readers) +
							(member->is_line ? 1 : 0));
		if (member->is_line)
			saved -= map * member->overlap / member->per_round;
		saved -= rounds * CALL_COST;
	}
	return saved;
}

/* Rows of the first member per round to begin with: those of the whole map,
 * or a few. */
static int
most_rows(const Chain *chain)
{
	int rows = MAX_ROUND_ROWS;

	while (rows < MAX_WHOLE_ROWS && rows < chain->members[0].out_rows)
		rows *= 2;
	return rows;
}

/* The least: a member that computes whole maps waits for all rows. */
static int
least_rows(const Chain *chain)
{
	for (int m = 0; m < chain->count; m++)
		if (chain->members[m].is_whole)
			return chain->members[0].out_rows;
	return 1;
}

/* Rows of the first member per round, the most that fit; 0 when none do. */
static int
choose_rows(const Finder *finder, Chain *chain, double *saved)
{
	int forced = finder->planner->strip_rows;

	int64_t images = chain_images(finder->planner, chain);

	*saved = 0.0;
	if (chain->count < 2 || !images)
		return 0;
	find_lines(finder, chain);
	if (forced > 0)
	{
		for (int m = 0; m < chain->count; m++)
			*saved += chain->members[m].is_line ? 1.0 : 0.0;
		return forced;
	}
	for (int rows = most_rows(chain); rows >= least_rows(chain);
		 rows = rows > MAX_ROUND_ROWS ? MAX_ROUND_ROWS : rows / 2)
	{
		find_overlaps(chain, rows);
		if (round_bytes(chain) > STRIP_BYTES)
			continue;
		*saved = saved_bytes(chain, rows, images);
		return rows;
	}
	return 0;
}

/* ---- rounds ----------------------------------------------------------------- */

/* Rows of the output that the rows done of its inputs are enough for. */
static int
rows_possible(const Chain *chain, const Member *member, int target)
{
	int input = member->in_rows, operand = member->out_rows;

	for (int k = 0; k < chain->count; k++)
	{
		const Member *writer = &chain->members[k];

		if (member->inputs >> k & 1)
			input = min_int(input, writer->done);
		if (member->operands >> k & 1)
			operand = min_int(operand, writer->done);
	}
	if (!member->inputs && !member->operands)
		return member->is_whole
				   ? member->out_rows
				   : min_int(divide_up(target, member->factor) * member->factor,
							 member->out_rows);
	if (input < member->in_rows)
	{
		int64_t spare = (int64_t) input + member->pad - member->extent;
		int64_t rows = spare < 0 ? 0 : spare / member->stride + 1;

		if (member->factor > 1)
			rows = (int64_t) input * member->factor;
		if (rows < operand)
			operand = (int) rows;
	}
	if (member->is_whole && operand < member->out_rows)
		return member->done;
	/* Rows computed early, because the input needed no more, stay done. */
	return operand > member->done ? operand : member->done;
}

/* The first row of a member's output that a reader needs from now on. */
static int
first_needed(const Chain *chain, int index)
{
	int64_t first = INT_MAX;

	for (int r = 0; r < chain->count; r++)
	{
		const Member *reader = &chain->members[r];
		int64_t row = INT_MAX;

		if (reader->done == reader->out_rows)
			continue;
		if (reader->inputs >> index & 1)
			row = reader->factor > 1
					  ? reader->done / reader->factor
					  : (int64_t) reader->done * reader->stride - reader->pad;
		if (reader->operands >> index & 1 && row > reader->done)
			row = reader->done;
		if (row < first)
			first = row;
	}
	return (int) first;
}

/* Floats from where a slot's row would lie in a whole map. */
static ptrdiff_t
line_shift(const FrPlanner *planner, const Chain *chain, int32_t slot)
{
	for (int m = 0; m < chain->count; m++)
	{
		const Member *member = &chain->members[m];

		if (member->is_line && member->slot == &planner->slots[slot])
			return -(member->start + member->slot->pad[0]) * member->slot->row;
	}
	return 0;
}

/* One member in one round. */
static void
run_member(const FrPlanner *planner, Chain *chain, int index, int target,
		   FrStripPiece *piece)
{
	Member *member = &chain->members[index];
	int possible = rows_possible(chain, member, target);
	int keep = min_int(first_needed(chain, index), member->done);

	*piece =
		(FrStripPiece){.first = member->done / member->factor,
					   .count = (possible - member->done) / member->factor};
	if (member->unit->kind != FR_UNIT_UPSAMPLE)
	{
		piece->first = member->done;
		piece->count = possible - member->done;
	}
	if (piece->count == 0)
		return;
	if (member->is_line && keep > member->start)
	{
		piece->kept = member->done - keep;
		piece->kept_from = (keep - member->start) * member->slot->row;
		member->start = keep;
	}
	member->done = possible;
	piece->is_end = possible == member->out_rows;
	if (member->is_line)
	{
		int last = possible + (piece->is_end ? member->slot->pad[2] : 0);

		if (last - member->start > member->lines)
			member->lines = last - member->start;
		piece->out_shift = line_shift(planner, chain, member->unit->out_slot);
	}
	piece->in_shift = line_shift(planner, chain, member->unit->in_slot);
	if (member->unit->operand_slot >= 0)
		piece->operand_shift =
			line_shift(planner, chain, member->unit->operand_slot);
}

/* All rounds of one image. */
static FrStatus
run_rounds(FrPlanner *planner, Chain *chain, int rows, FrStrip *strip)
{
	int64_t reference = chain->members[0].out_rows;

	for (int m = 0; m < chain->count; m++)
	{
		Member *member = &chain->members[m];

		member->done = 0;
		member->lines = 0;
		member->is_kept = false;
		member->start = -member->slot->pad[0];
	}
	for (int round = 0; round < strip->rounds; round++)
	{
		FrStatus status = fr_plan_poll(planner);

		if (status != FR_OK)
			return status;
		for (int m = 0; m < chain->count; m++)
			run_member(planner, chain, m,
					   divide_up((int64_t) chain->members[m].out_rows *
									 (round + 1) * rows,
								 reference),
					   &strip->pieces[(ptrdiff_t) round * chain->count + m]);
		for (int m = 0; m < chain->count; m++)
			if (first_needed(chain, m) < chain->members[m].done)
				chain->members[m].is_kept = true;
	}
	return FR_OK;
}

/* ---- strips ------------------------------------------------------------------ */

/* Turn the map of a member's output into lines. */
static void
make_lines(const Member *member)
{
	FrSlot *slot = member->slot;

	slot->lines = member->lines;
	slot->block = slot->row * slot->lines;
	slot->image = 0;
	slot->bytes = (size_t) slot->block * (size_t) slot->blocks * sizeof(float);
	slot->is_transient = !member->is_kept && slot->fill == FR_FILL_NONE;
}

/* Make the units first..last the strip of this number. */
static FrStatus
make_strip(Finder *finder, int number, int first, int last)
{
	FrPlanner *planner = finder->planner;
	FrStrip *strip = &planner->plan->strips[number - 1];
	Chain *chain = &finder->chain;
	FrStatus status;
	double saved;

	chain->first = first;
	chain->count = 0;
	while (chain->count <= last - first &&
		   add_member(finder, first + chain->count))
		;

	int rows = choose_rows(finder, chain, &saved);

	strip->first = first;
	strip->count = chain->count;
	strip->images = chain_images(planner, chain);
	strip->rounds = divide_up(chain->members[0].out_rows, rows);

	size_t pieces = (size_t) strip->rounds * (size_t) strip->count;

	strip->pieces =
		fr_arena_alloc_zeroed(planner->memory, pieces, sizeof(FrStripPiece));
	if (!strip->pieces)
		return fr_fail_nomem(planner->error, pieces * sizeof(FrStripPiece));
	if ((status = run_rounds(planner, chain, rows, strip)) != FR_OK)
		return status;
	for (int m = 0; m < chain->count; m++)
	{
		planner->units[first + m]->strip = number;
		if (chain->members[m].is_line)
			make_lines(&chain->members[m]);
	}
	return FR_OK;
}

/* Who reads which memory, and which memory is known under several names. */
static FrStatus
find_uses(Finder *finder)
{
	FrPlanner *planner = finder->planner;
	size_t slots = (size_t) planner->slot_count + 1;

	finder->last_use =
		fr_arena_alloc_zeroed(&planner->scratch, slots, sizeof(int));
	finder->is_split =
		fr_arena_alloc_zeroed(&planner->scratch, slots, sizeof(bool));
	if (!finder->last_use || !finder->is_split)
		return fr_fail_nomem(planner->error, slots * sizeof(int));
	for (int32_t s = 0; s < planner->slot_count; s++)
		if (planner->slots[s].parent >= 0)
			finder->is_split[root_of(planner, s)] = true;
	for (int i = 0; i < planner->unit_count; i++)
	{
		const FrUnit *unit = planner->units[i];
		const int32_t inputs[] = {unit->in_slot, unit->operand_slot,
								  unit->vector_slot};
		const int32_t *slots_read = inputs;
		int count = 3;

		if (unit->kind == FR_UNIT_PLAIN)
		{
			slots_read = planner->unit_slots[i];
			count = unit->node->input_count;
		}
		for (int k = 0; k < count; k++)
			if (slots_read[k] >= 0)
				finder->last_use[root_of(planner, slots_read[k])] = i;
	}
	return FR_OK;
}

/* Follow the choices back from the end. */
static FrStatus
make_strips(Finder *finder, const int *begin_of)
{
	FrPlanner *planner = finder->planner;
	FrPlan *plan = planner->plan;
	FrStatus status = FR_OK;
	int number;

	for (int end = planner->unit_count; end > 0; end = begin_of[end])
		plan->strip_count += begin_of[end] < end - 1;
	number = plan->strip_count;
	plan->strips = fr_arena_alloc_zeroed(planner->memory, (size_t) number + 1,
										 sizeof(FrStrip));
	if (!plan->strips)
		return fr_fail_nomem(planner->error, (size_t) number * sizeof(FrStrip));
	for (int end = planner->unit_count; end > 0 && status == FR_OK;
		 end = begin_of[end])
		if (begin_of[end] < end - 1)
			status = make_strip(finder, number--, begin_of[end], end - 1);
	return status;
}

FrStatus
fr_plan_strip(FrPlanner *planner)
{
	size_t units = (size_t) planner->unit_count;
	Finder finder = {.planner = planner};
	Chain *chain = &finder.chain;
	FrStatus status;

	if (planner->strip_rows < 0 || planner->is_reference)
		return FR_OK;

	/* Up to each unit: what is saved at best, where the last range begins. */
	double *best =
		fr_arena_alloc_zeroed(&planner->scratch, units + 1, sizeof(double));
	int *begin_of =
		fr_arena_alloc_zeroed(&planner->scratch, units + 1, sizeof(int));

	if (!best || !begin_of)
		return fr_fail_nomem(planner->error, units * sizeof(double));
	if ((status = find_uses(&finder)) != FR_OK)
		return status;
	for (int i = 0; i < planner->unit_count; i++)
	{
		if ((status = fr_plan_poll(planner)) != FR_OK)
			return status;
		if (best[i] >= best[i + 1])
		{
			best[i + 1] = best[i];
			begin_of[i + 1] = i;
		}
		chain->first = i;
		chain->count = 0;
		for (int last = i;
			 last < planner->unit_count && add_member(&finder, last); last++)
		{
			double saved;
			int rows = choose_rows(&finder, chain, &saved);

			if (chain->count > 1 && rows == 0)
				break;
			if (best[i] + saved > best[last + 1])
			{
				best[last + 1] = best[i] + saved;
				begin_of[last + 1] = i;
			}
		}
	}
	return make_strips(&finder, begin_of);
}
