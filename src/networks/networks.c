/*
 * networks.c: see networks.h.
 *
 * The assembler copies the files into the object (.incbin searches the
 * include path); that takes no time and works for every processor.  Makefile
 * passes the hashes, so that nobody has to compute them at run time, and
 * compiles this again when a file changes.
 */
#include "networks/networks.h"

#include <assert.h>

#ifdef __APPLE__
#define ENTER_DATA	 ".const_data\n"
#define LEAVE_DATA	 ".text\n"
#define SYMBOL(name) "_" name
#define HIDE		 ".private_extern "
#else
#define ENTER_DATA	 ".pushsection .rodata,\"a\",%progbits\n"
#define LEAVE_DATA	 ".popsection\n"
#define SYMBOL(name) name
#define HIDE		 ".hidden "
#endif

/* Makefile switches link-time optimisation off here: it would assemble this
 * when it links, in a folder of its own and without an include path. */
#define LABEL(name) \
	".globl " SYMBOL(name) "\n" HIDE SYMBOL(name) "\n" SYMBOL(name) ":\n"
#define BYTES(path) ".incbin \"" path "\"\n"

#define SHA256_DIGITS 64

/* clang-format off */
/* One statement: several need not keep their order. */
#define INCLUDE_NETWORK(name)                                          \
	static_assert(sizeof(FR_SHA256_##name) == SHA256_DIGITS + 1,       \
				  "Makefile needs sha256sum, shasum or openssl");      \
	__asm__(ENTER_DATA ".balign 64\n"                                  \
			LABEL("fr_network_" #name)                                 \
			BYTES("networks/" #name ".onnx")                           \
			LABEL("fr_network_" #name "_end")                          \
			".byte 0\n" LEAVE_DATA);                                   \
	extern const unsigned char fr_network_##name[]                     \
		__attribute__((visibility("hidden")));                         \
	extern const unsigned char fr_network_##name##_end[]               \
		__attribute__((visibility("hidden")))
/* clang-format on */

INCLUDE_NETWORK(detector);
INCLUDE_NETWORK(embedder);
INCLUDE_NETWORK(landmarks);

#define NETWORK_FILE(name)                                                   \
	{                                                                        \
		.file = #name ".onnx", .sha256 = FR_SHA256_##name,                   \
		.bytes = fr_network_##name,                                          \
		.size_bytes = (size_t) (fr_network_##name##_end - fr_network_##name) \
	}

FrNetworkFile
fr_network_file(FrNetworkId id)
{
	const FrNetworkFile files[FR_NETWORK_COUNT] = {
		[FR_NETWORK_DETECTOR] = NETWORK_FILE(detector),
		[FR_NETWORK_EMBEDDER] = NETWORK_FILE(embedder),
		[FR_NETWORK_LANDMARKS] = NETWORK_FILE(landmarks),
	};

	return files[id];
}
