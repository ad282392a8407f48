/*
 * input.c: from 8-bit pictures to a network's float planes; see input.h.
 *
 * A channel has only 256 values, so each is computed once, in double, and
 * looked up.
 */
#include "core/face/input.h"

#include <math.h>

#define CANCEL_INTERVAL 64 /* rows */

static void
make_table(const FrDescriptor *descriptor, int channel, float table[256])
{
	double mean = (double) descriptor->mean[channel];
	double scale = (double) descriptor->scale[channel];

	for (int value = 0; value < 256; value++)
		table[value] = (float) ((value - mean) * scale);
}

/* One row of one channel; pixels points at that channel's first sample. */
static void
fill_row(const uint8_t *pixels, int count, bool is_mirrored,
		 const float table[256], int width, float *row)
{
	if (is_mirrored)
	{
		for (int x = 0; x < count; x++)
			row[x] = table[pixels[(size_t) (count - 1 - x) * 3]];
	}
	else
	{
		for (int x = 0; x < count; x++)
			row[x] = table[pixels[(size_t) x * 3]];
	}
	for (int x = count; x < width; x++)
		row[x] = table[0];
}

FrStatus
fr_input_check(const FrNet *net, const FrDescriptor *descriptor, FrError *error)
{
	int count = fr_net_graph(net)->input_count;

	if (count != 1)
		return fr_fail(error, FR_ERR_MISMATCH,
					   "The network has %d inputs, but the preset \"%s\" "
					   "feeds one picture.",
					   count, descriptor->preset);
	return FR_OK;
}

FrStatus
fr_input_fill(const FrImage *image, const FrDescriptor *descriptor,
			  bool is_mirrored, int width, int height, const FrCancel *cancel,
			  float *planes, FrError *error)
{
	size_t plane = (size_t) width * (size_t) height;

	if (image->width > width || image->height > height)
		return fr_fail(error, FR_ERR_BUG,
					   "A picture of %d x %d does not fit an input of %d x %d.",
					   image->width, image->height, width, height);
	for (int channel = 0; channel < 3; channel++)
	{
		float table[256];
		int offset = descriptor->is_bgr ? 2 - channel : channel;

		make_table(descriptor, channel, table);
		for (int y = 0; y < height; y++)
		{
			float *row =
				planes + (size_t) channel * plane + (size_t) y * (size_t) width;

			if (y % CANCEL_INTERVAL == 0 && fr_is_cancelled(cancel))
				return fr_fail(error, FR_ERR_CANCELLED,
							   "Preparing the input was cancelled.");
			if (y < image->height)
				fill_row(fr_image_row(image, y) + offset, image->width,
						 is_mirrored, table, width, row);
			else
				fill_row(NULL, 0, false, table, width, row);
		}
	}
	return FR_OK;
}

bool
fr_input_is_channels_last(const FrGraph *graph)
{
	const FrValue *input = &graph->values[graph->inputs[0]];

	return input->is_shape_known && input->shape.rank == 4 &&
		   input->shape.dims[3] == 3 && input->shape.dims[1] != 3;
}

FrShape
fr_input_shape(const FrGraph *graph, int64_t count, int width, int height)
{
	if (fr_input_is_channels_last(graph))
		return (FrShape){.rank = 4, .dims = {count, height, width, 3}};
	return (FrShape){.rank = 4, .dims = {count, 3, height, width}};
}

/* Mean and scale that standardise this picture.  A deviation below that of
 * one level in one sample counts as that much, so that an even picture
 * becomes zeros. */
static void
standardise(const FrImage *image, FrDescriptor *descriptor)
{
	size_t count = (size_t) image->width * (size_t) image->height * 3;
	double sum = 0, squares = 0;

	for (int y = 0; y < image->height; y++)
	{
		const uint8_t *row = fr_image_row(image, y);
		uint64_t row_sum = 0, row_squares = 0;

		for (int i = 0; i < image->width * 3; i++)
		{
			row_sum += row[i];
			row_squares += (unsigned) row[i] * row[i];
		}
		sum += (double) row_sum;
		squares += (double) row_squares;
	}

	double mean = sum / (double) count;
	double deviation = sqrt(fmax(0, squares / (double) count - mean * mean));

	deviation = fmax(deviation, 1 / sqrt((double) count));
	for (int channel = 0; channel < 3; channel++)
	{
		descriptor->mean[channel] = (float) mean;
		descriptor->scale[channel] = (float) (1 / deviation);
	}
}

FrStatus
fr_input_set(FrPlan *plan, int64_t index, const FrImage *image,
			 const FrDescriptor *descriptor, bool is_mirrored, FrError *error)
{
	FrDescriptor own = *descriptor;

	if (own.is_standardised)
		standardise(image, &own);

	FrPicture picture = {
		.pixels = image->pixels,
		.row_bytes = (size_t) image->width * 3,
		.width = image->width,
		.height = image->height,
		.is_swapped = descriptor->is_bgr,
		.is_mirrored = is_mirrored,
	};

	for (int channel = 0; channel < 3; channel++)
	{
		picture.mean[channel] = own.mean[channel];
		picture.scale[channel] = own.scale[channel];
	}
	return fr_plan_set_picture(plan, 0, index, &picture, error);
}
