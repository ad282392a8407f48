/*
 * networks.h: the networks that are part of the library.
 *
 * Their ONNX files lie in its read-only data, aligned to 64 bytes: the
 * operating system maps them once for all processes.  What is computed with is
 * packed from them as for any model.
 */
#ifndef FR_NETWORKS_H
#define FR_NETWORKS_H

#include <stddef.h>

/* A file of this folder, as it was when the library was built. */
typedef struct FrNetworkFile
{
	const char *file;	/* "detector.onnx" */
	const char *sha256; /* of its bytes, 64 hexadecimal digits, lower case */
	const unsigned char *bytes;
	size_t size_bytes;
} FrNetworkFile;

typedef enum FrNetworkId
{
	FR_NETWORK_LANDMARKS, /* refines what the detector finds */
	FR_NETWORK_DETECTOR,
	FR_NETWORK_EMBEDDER,
	FR_NETWORK_COUNT
} FrNetworkId;

/* One of the networks; valid as long as the library is loaded. */
FrNetworkFile fr_network_file(FrNetworkId id);

#endif
