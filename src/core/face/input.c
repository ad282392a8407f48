/*
 * input.c: from 8-bit pictures to a network's input; see input.h.
 *
 * The network converts pixels by itself (nn/picture.c); here is what it has
 * to be told.
 */
#include "core/face/input.h"

#include <math.h>

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
