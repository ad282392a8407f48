/*
 * preset.c: the defaults of each known family of networks.
 *
 * A preset says how a published network wants to be fed and read; a model's
 * descriptor may change any of it.  Sources: YuNet (Wu et al., "YuNet: A Tiny
 * Millisecond-level Face Detector", Machine Intelligence Research 2023);
 * SCRFD (Guo et al., ICLR 2022) and ArcFace (Deng et al., CVPR 2019) as
 * insightface exports them; RetinaFace (Deng et al., CVPR 2020) in its PyTorch
 * implementation; MTCNN (Zhang et al., "Joint Face Detection and Alignment
 * Using Multitask Cascaded Convolutional Networks", IEEE SPL 23(10), 2016);
 * Open Model Zoo, face-reidentification-retail-0095 and
 * landmarks-regression-retail-0009; src/networks (landmarks-5); MobileFaceNet
 * (Chen et al., CCBR 2018) as trained with mean 127.5 and divisor 128; SFace
 * (Zhong et al., IEEE TIP 2021) as OpenCV uses it; FaceNet (Schroff et al.,
 * CVPR 2015) as its TensorFlow implementation trains it; SphereFace (Liu et
 * al., CVPR 2017).
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
		.graph_count = 1,
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
		.preset = "scrfd",
		.role = FR_ROLE_DETECTOR,
		.graph_count = 1,
		.mean = PER_CHANNEL(127.5f),
		.scale = PER_CHANNEL(1.0f / 128.0f),
		.decode = FR_DECODE_SCRFD,
		.detection_threshold = 0.5f,
		.nms_iou = 0.4f,
		.detection_size = 1280,
		.min_face_size = 20,
		.max_faces = 100,
		.size_multiple = 32,
	},
	{
		.preset = "retinaface",
		.role = FR_ROLE_DETECTOR,
		.graph_count = 1,
		.is_bgr = true,
		.mean = {104.0f, 117.0f, 123.0f},
		.scale = PER_CHANNEL(1.0f),
		.decode = FR_DECODE_RETINAFACE,
		.detection_threshold = 0.6f,
		.nms_iou = 0.4f,
		.detection_size = 1280,
		.min_face_size = 20,
		.max_faces = 100,
		.size_multiple = 32,
	},
	{
		.preset = "mtcnn",
		.role = FR_ROLE_DETECTOR,
		.graph_count = 3, /* P, R, O */
		.mean = PER_CHANNEL(127.5f),
		.scale = PER_CHANNEL(1.0f / 128.0f),
		.decode = FR_DECODE_MTCNN,
		.detection_threshold = 0.7f, /* of the last network */
		.nms_iou = 0.7f,			 /* intersection over the smaller box */
		.detection_size = 1280,
		.min_face_size = 20,
		.max_faces = 100,
		.size_multiple = 32, /* not used */
	},
	{
		.preset = "omz-landmarks-0009",
		.role = FR_ROLE_LANDMARKS,
		.graph_count = 1,
		.is_bgr = true,
		.scale = PER_CHANNEL(1.0f),
		.input_width = 48,
		.input_height = 48,
		.alignment = FR_TEMPLATE_BOX,
	},
	{
		.preset = "landmarks-5",
		.role = FR_ROLE_LANDMARKS,
		.graph_count = 1,
		.is_bgr = true,
		.scale = PER_CHANNEL(1.0f),
		.input_width = 64,
		.input_height = 64,
		.alignment = FR_TEMPLATE_ARCFACE_112,
		.margin = 0.2f,
	},
	{
		.preset = "omz-reid-0095",
		.role = FR_ROLE_EMBEDDER,
		.graph_count = 1,
		.is_bgr = true, /* the graph normalises by itself */
		.scale = PER_CHANNEL(1.0f),
		.input_width = 128,
		.input_height = 128,
		.alignment = FR_TEMPLATE_OMZ_128,
	},
	{
		.preset = "mobilefacenet",
		.role = FR_ROLE_EMBEDDER,
		.graph_count = 1,
		.mean = PER_CHANNEL(127.5f),
		.scale = PER_CHANNEL(1.0f / 128.0f),
		.input_width = 112,
		.input_height = 112,
		.alignment = FR_TEMPLATE_ARCFACE_112,
	},
	{
		.preset = "arcface",
		.role = FR_ROLE_EMBEDDER,
		.graph_count = 1,
		.mean = PER_CHANNEL(127.5f),
		.scale = PER_CHANNEL(1.0f / 127.5f),
		.input_width = 112,
		.input_height = 112,
		.alignment = FR_TEMPLATE_ARCFACE_112,
	},
	{
		.preset = "sface",
		.role = FR_ROLE_EMBEDDER,
		.graph_count = 1,
		.scale = PER_CHANNEL(1.0f), /* the graph normalises by itself */
		.input_width = 112,
		.input_height = 112,
		.alignment = FR_TEMPLATE_ARCFACE_112,
	},
	{
		.preset = "facenet",
		.role = FR_ROLE_EMBEDDER,
		.graph_count = 1,
		.mean = PER_CHANNEL(127.5f), /* when not standardised */
		.scale = PER_CHANNEL(1.0f / 128.0f),
		.is_standardised = true,
		.input_width = 160,
		.input_height = 160,
		.alignment = FR_TEMPLATE_BOX,
		.margin = 0.25f, /* 32 of the crop's 160 pixels */
	},
	{
		.preset = "sphereface",
		.role = FR_ROLE_EMBEDDER,
		.graph_count = 1,
		.is_bgr = true,
		.mean = PER_CHANNEL(127.5f),
		.scale = PER_CHANNEL(1.0f / 128.0f),
		.input_width = 96,
		.input_height = 112,
		.alignment = FR_TEMPLATE_SPHEREFACE,
	},
};

#define PRESET_COUNT ((int) (sizeof presets / sizeof *presets))

const FrDescriptor *
fr_preset_at(int index)
{
	return index >= 0 && index < PRESET_COUNT ? &presets[index] : NULL;
}

bool
fr_preset_find(const char *name, FrDescriptor *descriptor)
{
	for (int i = 0; i < PRESET_COUNT; i++)
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
	return "yunet, scrfd, retinaface, mtcnn, omz-landmarks-0009, "
		   "landmarks-5, omz-reid-0095, mobilefacenet, arcface, sface, "
		   "facenet, sphereface";
}

const char *
fr_role_name(FrRole role)
{
	static const char *const names[] = {"detector", "embedder", "landmarks"};

	_Static_assert(sizeof names / sizeof *names == FR_ROLE_COUNT,
				   "every role has a name");
	return (unsigned) role < FR_ROLE_COUNT ? names[role] : "unknown";
}
