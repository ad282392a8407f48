/*
 * face.c: lists of faces; see face.h.
 */
#include "core/face/face.h"

void
fr_faces_destroy(FrFaces *faces)
{
	if (faces->faces)
		fr_release(faces->allocator, faces->faces);
	faces->faces = NULL;
	faces->count = 0;
}
