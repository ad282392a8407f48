/*
 * face.h: what a detected face is, and the presets of the two networks.
 *
 * Coordinates are pixels of the upright full-size picture, x right, y down,
 * pixel centres at integers.  Landmark order: eye that lies left in the
 * picture, eye that lies right, nose tip, mouth corner left, mouth corner
 * right.
 */
#ifndef FR_CORE_FACE_FACE_H
#define FR_CORE_FACE_FACE_H

#include "core/base/arena.h"
#include "core/image/image.h"
#include "core/nn/plan.h"

#define FR_LANDMARK_COUNT 5
/* What a landmarks network gives for a crop: x, y of them, 0..1 from edge to
 * edge. */
#define FR_LANDMARK_VALUES (2 * FR_LANDMARK_COUNT)

/* Sides of crops, pixels: larger ones would be sampled for longer than a
 * cancel may wait. */
#define FR_MAX_CROP_SIDE 1024

typedef struct FrPoint
{
	float x, y;
} FrPoint;

typedef struct FrFace
{
	float x0, y0, x1, y1; /* box; may reach outside the picture */
	float score;		  /* detector's confidence, 0..1 */
	float quality;		  /* 0..100 */
	FrPoint landmarks[FR_LANDMARK_COUNT];
	bool lacks_landmarks;	/* neither the detector nor another network gave
						   * any: all are 0, as are quality and pose */
	float yaw, pitch, roll; /* degrees; yaw > 0: face turned to the picture's
							 * right, pitch > 0: looking up, roll > 0:
							 * head tilted clockwise as seen */
} FrFace;

/* Of its box, square pixels. */
static inline float
fr_face_area(const FrFace *face)
{
	return (face->x1 - face->x0) * (face->y1 - face->y0);
}

/* A list of faces, largest box area first (ties: higher score first, then
 * upper left first), allocated from allocator. */
typedef struct FrFaces
{
	int count;
	FrFace *faces;
	const FrAllocator *allocator;
} FrFaces;

void fr_faces_destroy(FrFaces *faces);

/* ---- presets ------------------------------------------------------------ */

typedef enum FrRole
{
	FR_ROLE_DETECTOR = 0,
	FR_ROLE_EMBEDDER,
	FR_ROLE_LANDMARKS, /* five landmarks from the crop of a box */
	FR_ROLE_COUNT
} FrRole;

/* "detector", ... */
const char *fr_role_name(FrRole role);

typedef enum FrDecodeRule
{
	FR_DECODE_NONE = 0,
	FR_DECODE_YUNET,
	FR_DECODE_SCRFD,
	FR_DECODE_RETINAFACE,
	FR_DECODE_MTCNN
} FrDecodeRule;

/* Which positions the five landmarks are moved to (align.h). */
typedef enum FrTemplate
{
	FR_TEMPLATE_ARCFACE_112 = 0, /* and its multiples */
	FR_TEMPLATE_OMZ_128,
	FR_TEMPLATE_SPHEREFACE, /* 96 wide, 112 high, and its multiples */
	FR_TEMPLATE_BOX,		/* no landmarks: the box and a margin, stretched */
	FR_TEMPLATE_COUNT
} FrTemplate;

/* A model is at most so many ONNX files. */
#define FR_MAX_GRAPHS 3

/*
 * How to use a network: a preset's defaults, then changed by the model's
 * descriptor.  Pixels are fed as (value - mean) * scale per channel, value
 * 0..255.
 */
typedef struct FrDescriptor
{
	const char *preset; /* static string */
	FrRole role;
	int graph_count;			  /* ONNX files that make up the model */
	FrWeightFormat weight_format; /* how the networks keep their weights */
	bool is_bgr;				  /* channel order of the input; else RGB */
	float mean[3];				  /* in the order of the input's channels */
	float scale[3];
	bool is_standardised; /* instead, mean and scale of each picture that give
						   * it mean 0 and deviation 1 over all channels */

	/* detectors */
	FrDecodeRule decode;
	float detection_threshold; /* 0..1 */
	float nms_iou;			   /* 0..1 */
	int detection_size; /* longest side given to the detector, 0 = native */
	int min_face_size;	/* pixels of the picture, shorter side of the box */
	int max_faces;
	int size_multiple;		/* input sides are padded to a multiple of this */
	bool finds_large_faces; /* by a second look at the picture made small */

	/* embedders and landmarks */
	int input_width, input_height;

	FrTemplate alignment;
	float margin; /* around boxes, of landmarks networks around templates, too:
				   * added to each side in all, as a share of it */
	bool is_flip_averaged; /* add the embedding of the mirrored crop; landmarks
							* are averaged */
	float second_look;	   /* landmarks that were moved further than this, in
							* distances of the eyes, are found again from
							* several crops; 0 = never */
} FrDescriptor;

/* The preset's defaults; false when there is none of that name. */
bool fr_preset_find(const char *name, FrDescriptor *descriptor);

/* The presets in order, NULL after the last. */
const FrDescriptor *fr_preset_at(int index);

/* The names of all presets, comma separated, for error hints. */
const char *fr_preset_names(void);

/* A detector ready for use: the networks of a model, and of the one that
 * finds the landmarks, or finds them more exactly. */
typedef struct FrDetector
{
	const FrDescriptor *descriptor;
	FrNet *nets[FR_MAX_GRAPHS]; /* descriptor->graph_count of them */
	FrNet *landmarker;			/* NULL: landmarks stay as the detector has
								 * them, or stay away */
	const FrDescriptor *landmarks;
} FrDetector;

/*
 * Check that a net fits the descriptor of a model of one graph: inputs,
 * outputs, shapes.  dims gets the length of the embedding (0 for other
 * roles).  MISMATCH says what does not fit ("The preset \"yunet\" needs an
 * output named \"cls_8\", ...").  A network that takes any number of crops is
 * asked about two, so that one which only claims to is refused.
 */
FrStatus
fr_descriptor_check(const FrDescriptor *descriptor, FrNet *net,
					const FrCancel *cancel, const FrAllocator *allocator,
					int *dims, FrError *error);

/* The same for a model of any number of graphs. */
FrStatus
fr_model_check(const FrDescriptor *descriptor, FrNet *const *nets, int count,
			   const FrCancel *cancel, const FrAllocator *allocator, int *dims,
			   FrError *error);

#endif
