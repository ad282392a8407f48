/*
 * test_networks.c: the networks in the library are the files of
 * src/networks, aligned, and what the extension takes them for.
 */
#include "core/face/detect.h"
#include "core/onnx/import.h"
#include "networks/networks.h"
#include "test/unit/sha256.h"
#include "test/unit/tap.h"

/* What all of them together may add to the library. */
#define MOST_BYTES ((size_t) 6 * 1024 * 1024)

static void
test_bytes(const FrNetworkFile *file)
{
	char path[256], hex[65];
	size_t size_bytes;
	unsigned char *bytes;

	snprintf(path, sizeof path, "src/networks/%s", file->file);
	bytes = read_file(path, &size_bytes);
	ok(bytes && file->size_bytes == size_bytes &&
		   memcmp(file->bytes, bytes, size_bytes) == 0,
	   "%s is in the library, byte for byte", file->file);
	sha256_hex(file->bytes, file->size_bytes, hex);
	ok(strcmp(hex, file->sha256) == 0, "%s has the hash %s", file->file,
	   file->sha256);
	ok((uintptr_t) file->bytes % 64 == 0, "%s is aligned", file->file);
	free(bytes);
}

/* Imported, it fits a preset; a detector's scores are probabilities. */
static void
test_fits(const FrNetworkFile *file, const char *preset, int dims_wanted)
{
	FrDescriptor descriptor;
	FrDetector detector = {.descriptor = &descriptor};
	FrGraph graph;
	FrNet *net = NULL;
	FrError error = {0};
	int dims = -1;
	FrStatus status = fr_onnx_import(file->bytes, file->size_bytes,
									 &fr_allocator_malloc, &graph, &error);

	if (status == FR_OK)
		status =
			fr_net_create(&graph, NULL, &fr_allocator_malloc, &net, &error);
	ok(status == FR_OK, "%s is a network %s", file->file, error.message);
	if (status != FR_OK)
		return;
	ok(fr_preset_find(preset, &descriptor) &&
		   fr_model_check(&descriptor, &net, 1, NULL, &fr_allocator_malloc,
						  &dims, &error) == FR_OK &&
		   dims == dims_wanted,
	   "%s fits the preset %s %s", file->file, preset, error.message);
	detector.nets[0] = net;
	if (descriptor.role == FR_ROLE_DETECTOR)
		ok(fr_detector_has_landmarks(&detector) &&
			   fr_detect_probe(&detector, NULL, &fr_allocator_malloc, &error) ==
				   FR_OK,
		   "%s gives scores and landmarks %s", file->file, error.message);
	fr_net_destroy(net);
}

int
main(void)
{
	FrNetworkFile detector = fr_network_file(FR_NETWORK_DETECTOR);
	FrNetworkFile embedder = fr_network_file(FR_NETWORK_EMBEDDER);
	FrNetworkFile landmarks = fr_network_file(FR_NETWORK_LANDMARKS);
	size_t total_bytes = 0;

	for (int id = 0; id < FR_NETWORK_COUNT; id++)
	{
		FrNetworkFile file = fr_network_file((FrNetworkId) id);

		test_bytes(&file);
		total_bytes += file.size_bytes;
	}
	ok(total_bytes <= MOST_BYTES, "together they have %zu bytes", total_bytes);
	test_fits(&detector, "yunet", 0);
	test_fits(&embedder, "mobilefacenet", 128);
	test_fits(&landmarks, "landmarks-5", 0);
	return tap_done();
}
