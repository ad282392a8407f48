/*
 * preset.c: the defaults of each known family of networks.
 *
 * A preset says how a published network wants to be fed and read; a model's
 * descriptor may change any of it.  Sources: YuNet (Wu et al., "YuNet: A Tiny
 * Millisecond-level Face Detector", Machine Intelligence Research 2023);
 * Open Model Zoo, face-reidentification-retail-0095; MobileFaceNet (Chen et
 * al., CCBR 2018) as trained with mean 127.5 and divisor 128; ArcFace (Deng
 * et al., CVPR 2019) as insightface exports it.
 */
#include <string.h>

#include "core/face/face.h"

#define PER_CHANNEL(value)        \
	{                             \
		(value), (value), (value) \
	}

static const FrDescriptor presets[] = {
	{
		.preset = "yunet",
		.role = FR_ROLE_DETECTOR,
		.is_bgr = true,
		.scale = PER_CHANNEL(1.0f),
		.decode = FR_DECODE_YUNET,
		.detection_threshold = 0.6f,
		.nms_iou = 0.3f,
		.detection_size = 1280,
		.min_face_size = 20,
		.max_faces = 100,
		.size_multiple = 32, /* the coarsest stride */
	},
	{
		.preset = "omz-reid-0095",
		.role = FR_ROLE_EMBEDDER,
		.is_bgr = true, /* the graph normalises by itself */
		.scale = PER_CHANNEL(1.0f),
		.input_width = 128,
		.input_height = 128,
		.alignment = FR_TEMPLATE_OMZ_128,
	},
	{
		.preset = "mobilefacenet",
		.role = FR_ROLE_EMBEDDER,
		.mean = PER_CHANNEL(127.5f),
		.scale = PER_CHANNEL(1.0f / 128.0f),
		.input_width = 112,
		.input_height = 112,
		.alignment = FR_TEMPLATE_ARCFACE_112,
	},
	{
		.preset = "arcface",
		.role = FR_ROLE_EMBEDDER,
		.mean = PER_CHANNEL(127.5f),
		.scale = PER_CHANNEL(1.0f / 127.5f),
		.input_width = 112,
		.input_height = 112,
		.alignment = FR_TEMPLATE_ARCFACE_112,
	},
};

bool
fr_preset_find(const char *name, FrDescriptor *descriptor)
{
	for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
	{
		if (strcmp(presets[i].preset, name) == 0)
		{
			*descriptor = presets[i];
			return true;
		}
	}
	return false;
}

const char *
fr_preset_names(void)
{
	return "yunet, omz-reid-0095, mobilefacenet, arcface";
}
