/*
 * face_merge.c: one list from two looks at a picture; see face_merge.h.
 */
#include "core/face/face_merge.h"

#include <string.h>

#include "core/face/nms.h"

/* A box lies within another with at least this share of its area ... */
#define INNER_SHARE 0.8f

/* ... when it is at most this share of the other's. */
#define PART_SHARE 0.25f

static float
iou(const FrFace *a, const FrFace *b)
{
	return fr_nms_iou(a->x0, a->y0, a->x1, a->y1, b->x0, b->y0, b->x1, b->y1);
}

/* Whether a box is a part of a much larger one. */
static bool
is_part(const FrFace *part, const FrFace *whole)
{
	float area = fr_face_area(part);
	float inside = fr_nms_overlap(part->x0, part->y0, part->x1, part->y1,
								  whole->x0, whole->y0, whole->x1, whole->y1);

	return inside > 0 && inside >= INNER_SHARE * area &&
		   area <= PART_SHARE * fr_face_area(whole);
}

/* Whether one of the first look's faces is the same and as sure. */
static bool
is_known(const FrFace *face, const FrFaces *faces, float max_iou)
{
	for (int i = 0; i < faces->count; i++)
		if (faces->faces[i].score >= face->score &&
			iou(&faces->faces[i], face) > max_iou)
			return true;
	return false;
}

static void
remove_weaker(FrFaces *faces, const FrFace *than, float max_iou)
{
	int kept = 0;

	for (int i = 0; i < faces->count; i++)
	{
		const FrFace *face = &faces->faces[i];

		if (face->score >= than->score ||
			!(iou(face, than) > max_iou || is_part(face, than)))
			faces->faces[kept++] = *face;
	}
	faces->count = kept;
}

FrStatus
fr_faces_merge(FrFaces *faces, const FrFaces *large, float max_iou,
			   const FrCancel *cancel, FrError *error)
{
	size_t count = (size_t) faces->count + (size_t) large->count;
	FrFaces merged = {.allocator = faces->allocator};

	if (large->count == 0)
		return FR_OK;
	merged.faces = fr_alloc_zeroed(faces->allocator, count, sizeof(FrFace));
	if (!merged.faces)
		return fr_fail_nomem(error, count * sizeof(FrFace));
	if (faces->count > 0)
		memcpy(merged.faces, faces->faces,
			   (size_t) faces->count * sizeof(FrFace));
	merged.count = faces->count;
	for (int i = 0; i < large->count; i++)
	{
		const FrFace *face = &large->faces[i];

		if (fr_is_cancelled(cancel))
		{
			fr_faces_destroy(&merged);
			return fr_fail(error, FR_ERR_CANCELLED, "Detection was cancelled.");
		}
		if (is_known(face, &merged, max_iou))
			continue;
		remove_weaker(&merged, face, max_iou);
		merged.faces[merged.count++] = *face;
	}
	fr_faces_destroy(faces);
	*faces = merged;
	return FR_OK;
}
