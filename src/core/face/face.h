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
	float yaw, pitch, roll; /* degrees; yaw > 0: face turned to the picture's
							 * right, pitch > 0: looking up, roll > 0:
							 * head tilted clockwise as seen */
} FrFace;

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
	FR_ROLE_EMBEDDER
} FrRole;

typedef enum FrDecodeRule
{
	FR_DECODE_NONE = 0,
	FR_DECODE_YUNET
} FrDecodeRule;

/* Which positions the five landmarks are moved to (align.h). */
typedef enum FrTemplate
{
	FR_TEMPLATE_ARCFACE_112 = 0, /* and its multiples */
	FR_TEMPLATE_OMZ_128
} FrTemplate;

/*
 * How to use a network: a preset's defaults, then changed by the model's
 * descriptor.  Pixels are fed as (value - mean) * scale per channel, value
 * 0..255.
 */
typedef struct FrDescriptor
{
	const char *preset; /* static string */
	FrRole role;
	bool is_bgr;   /* channel order of the input; else RGB */
	float mean[3]; /* in the order of the input's channels */
	float scale[3];

	/* detectors */
	FrDecodeRule decode;
	float detection_threshold; /* 0..1 */
	float nms_iou;			   /* 0..1 */
	int detection_size; /* longest side given to the detector, 0 = native */
	int min_face_size;	/* pixels of the picture, shorter side of the box */
	int max_faces;
	int size_multiple; /* input sides are padded to a multiple of this */

	/* embedders */
	int input_width, input_height;
	FrTemplate alignment;
	bool is_flip_averaged; /* add the embedding of the mirrored crop */
} FrDescriptor;

/* The preset's defaults; false when there is none of that name.  Presets:
 * "yunet" (detector); "omz-reid-0095", "mobilefacenet", "arcface"
 * (embedders). */
bool fr_preset_find(const char *name, FrDescriptor *descriptor);

/* The names of all presets, comma separated, for error hints. */
const char *fr_preset_names(void);

/*
 * Check that a net fits its descriptor: inputs, outputs, shapes.  dims gets
 * the length of the embedding (0 for a detector).  MISMATCH says what does
 * not fit ("The preset \"yunet\" needs an output named \"cls_8\", ...").
 */
FrStatus
fr_descriptor_check(const FrDescriptor *descriptor, FrNet *net,
					const FrAllocator *allocator, int *dims, FrError *error);

#endif
