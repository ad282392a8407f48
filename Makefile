# facerec: face recognition inside PostgreSQL.  Layers and targets: src/README.
EXTENSION  = facerec
EXTVERSION = 0.1
MODULE_big = facerec
PGFILEDESC = "facerec - face detection, recognition and search"

# ---- sources, one variable per layer -----------------------------------
KERNEL_SRC = $(sort $(wildcard src/kernels/*.c))
CORE_SRC   = $(sort $(wildcard src/core/*/*.c))
PG_SRC     = $(sort $(wildcard src/pg/*.c src/index/*.c))
NET_SRC    = src/networks/networks.c
LIB_SRC    = $(CORE_SRC) $(KERNEL_SRC) $(NET_SRC)
OBJS       = $(patsubst %.c,%.o,$(LIB_SRC) $(PG_SRC))

# ---- extension script: topic pieces -> one versioned file ---------------
SQL_PIECES = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA       = $(wildcard sql/$(EXTENSION)--*--*.sql)

# Warnings are errors; a packager with an unknown compiler may say WERROR=.
WERROR     ?= -Werror
LIBS_IMAGE  = -ljpeg -lpng

PG_CPPFLAGS = -I$(srcdir)/src -DFACEREC_VERSION='"$(EXTVERSION)"' \
              '-DPGDLLEXPORT=__attribute__((visibility("default")))'
PG_CFLAGS   = -std=gnu11 -Wextra -Wshadow -Wno-unused-parameter \
              -Wno-declaration-after-statement $(WERROR) \
              -fvisibility=hidden -MMD -MP
SHLIB_LINK  = $(LIBS_IMAGE) -lm
EXTRA_CLEAN = build demo $(OBJS:.o=.d)

# ---- SQL-level tests -----------------------------------------------------
REGRESS        = $(sort $(basename $(notdir $(wildcard sql_tests/regress/*.sql))))
ISOLATION     := $(sort $(basename $(notdir $(wildcard sql_tests/isolation/*.spec))))
REGRESS_VIEW   = build/regress
REGRESS_PREP   = $(REGRESS_VIEW)
REGRESS_OPTS   = --inputdir=$(REGRESS_VIEW) --outputdir=$(REGRESS_VIEW) --load-extension=$(EXTENSION)
ISOLATION_OPTS = --inputdir=$(REGRESS_VIEW) --outputdir=$(REGRESS_VIEW) --load-extension=$(EXTENSION)

# LLVM bitcode is compiled without the per-ISA flags below; JIT inlining gains nothing here.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(DATA_built): $(SQL_PIECES)
	cat $^ > $@

# ---- instruction sets: the file name says which flags it may use ---------
KERNEL_CFLAGS = -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math
ifneq ($(filter x86_64 amd64,$(shell uname -m)),)
ISA_avx2   = -mavx2 -mfma -mf16c
ISA_avx512 = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c
ISA_avx512vnni = $(ISA_avx512) -mavx512vnni
endif
# 8-bit kernels give the same bits on every instruction set: no contraction.
INT8_CFLAGS = -ffp-contract=off
src/kernels/%.o:      CFLAGS += $(KERNEL_CFLAGS)
src/kernels/int8_%.o: CFLAGS += $(INT8_CFLAGS)
%_avx2.o:             CFLAGS += $(ISA_avx2)
%_avx512.o:           CFLAGS += $(ISA_avx512)
%_avx512vnni.o:       CFLAGS += $(ISA_avx512vnni)

# ---- networks: linked into the library, with their hashes ------------------
# The first of these programs that there is.
SHA256   = $(firstword $(shell sha256sum $(1) 2>/dev/null || shasum -a 256 $(1) 2>/dev/null || openssl dgst -sha256 -r $(1)))
NETWORKS = $(sort $(wildcard src/networks/*.onnx))
# -fno-lto: link-time optimisation would look for the files when it links,
# without the include path (distributions' pg_config may ask for it).
NETWORK_FLAGS = -fno-lto $(foreach file,$(NETWORKS),-DFR_SHA256_$(notdir $(basename $(file)))='"$(call SHA256,$(file))"')
src/networks/networks.o: CFLAGS += $(NETWORK_FLAGS)
src/networks/networks.o $(foreach build,san plain fuzzobj,build/$(build)/networks/networks.o): $(NETWORKS)

# Results of the core's maths reach expected/: no contraction there.
src/core/%.o:    CFLAGS += -ffp-contract=off

-include $(OBJS:.o=.d)

# pg_regress reads <dir>/{sql,specs,expected}; show it our folders under those names.
$(REGRESS_VIEW): Makefile
	rm -rf $@ && mkdir -p $@
	ln -s $(CURDIR)/sql_tests/regress   $@/sql
	ln -s $(CURDIR)/sql_tests/isolation $@/specs
	ln -s $(CURDIR)/sql_tests/data      $@/data
	ln -s $(CURDIR)/expected            $@/expected

# ---- the core as a plain C library: no PostgreSQL include path at all -----
# Three builds of it: san (sanitizers), plain (valgrind, full-size golden
# tests) and fuzz (clang).
CORE_WARN    = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes $(WERROR)
TEST_WARN    = -Wall -Wextra $(WERROR)
SAN_CFLAGS   = -std=gnu11 -g -O1 -Isrc -fsanitize=address,undefined -fno-sanitize-recover=all
PLAIN_CFLAGS = -std=gnu11 -g -O2 -Isrc
FUZZ_CFLAGS  = -std=gnu11 -g -O1 -Isrc -fsanitize=address,undefined -fno-sanitize-recover=all
TEST_LIBS    = $(LIBS_IMAGE) -lm -lpthread -ldl
SAN_OBJ      = $(LIB_SRC:src/%.c=build/san/%.o)
PLAIN_OBJ    = $(LIB_SRC:src/%.c=build/plain/%.o)
FUZZ_OBJ     = $(LIB_SRC:src/%.c=build/fuzzobj/%.o)
UNIT_SRC     = $(sort $(wildcard src/test/unit/test_*.c))
UNIT_BIN     = $(UNIT_SRC:src/test/unit/%.c=build/unit/%)
NATIVE_BIN   = $(UNIT_SRC:src/test/unit/%.c=build/native/%)
FUZZ_BIN     = $(patsubst src/test/fuzz/%.c,build/fuzz/%,$(sort $(wildcard src/test/fuzz/fuzz_*.c)))
BENCH_BIN    = $(patsubst src/test/bench/%.c,build/bench/%,$(sort $(wildcard src/test/bench/bench_*.c)))
COMPARE_BIN  = $(patsubst src/test/bench/%.c,build/bench/%,$(sort $(wildcard src/test/bench/*_compare.c)))
TOOL_BIN     = $(patsubst src/test/tools/%.c,build/tools/%,$(sort $(wildcard src/test/tools/*.c)))

build/san/kernels/%.o:     EXTRA = -ffp-contract=fast -fno-math-errno -fno-trapping-math
build/plain/kernels/%.o:   EXTRA = $(KERNEL_CFLAGS)
build/fuzzobj/kernels/%.o: EXTRA = $(KERNEL_CFLAGS) -O1
build/san/core/%.o build/plain/core/%.o: EXTRA = -ffp-contract=off
build/san/networks/%.o build/plain/networks/%.o build/fuzzobj/networks/%.o: EXTRA = $(NETWORK_FLAGS)
build/san/kernels/int8_%.o build/plain/kernels/int8_%.o build/fuzzobj/kernels/int8_%.o: \
                           FP = $(INT8_CFLAGS)
build/%_avx2.o:            ISA = $(ISA_avx2)
build/%_avx512.o:          ISA = $(ISA_avx512)
build/%_avx512vnni.o:      ISA = $(ISA_avx512vnni)

build/san/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(SAN_CFLAGS) $(CORE_WARN) $(EXTRA) $(FP) $(ISA) -MMD -MP -c $< -o $@
build/plain/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(PLAIN_CFLAGS) $(CORE_WARN) $(EXTRA) $(FP) $(ISA) -MMD -MP -c $< -o $@
build/fuzzobj/%.o: src/%.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) $(EXTRA) $(FP) $(ISA) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

# One archive per build: a test program links only what it calls.
build/libsan.a: $(SAN_OBJ)
	rm -f $@ && $(AR) rcs $@ $^
build/libplain.a: $(PLAIN_OBJ)
	rm -f $@ && $(AR) rcs $@ $^
build/libfuzz.a: $(FUZZ_OBJ)
	rm -f $@ && $(AR) rcs $@ $^

build/unit/%: src/test/unit/%.c build/libsan.a
	@mkdir -p $(@D)
	$(CC) $(SAN_CFLAGS) $(TEST_WARN) -MMD -MP $(filter %.c %.a,$^) $(TEST_LIBS) -o $@
build/native/%: src/test/unit/%.c build/libplain.a
	@mkdir -p $(@D)
	$(CC) $(PLAIN_CFLAGS) $(TEST_WARN) -MMD -MP $(filter %.c %.a,$^) $(TEST_LIBS) -o $@
build/fuzz/%: src/test/fuzz/%.c build/libfuzz.a
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer $(filter %.c %.a,$^) $(TEST_LIBS) -o $@
build/bench/%: src/test/bench/%.c build/libplain.a
	@mkdir -p $(@D)
	$(CC) $(PLAIN_CFLAGS) $(TEST_WARN) -MMD -MP $(filter %.c %.a,$^) $(TEST_LIBS) -o $@
build/tools/%: src/test/tools/%.c
	@mkdir -p $(@D)
	$(CC) $(PLAIN_CFLAGS) $(TEST_WARN) $< $(TEST_LIBS) -o $@
-include $(SAN_OBJ:.o=.d) $(PLAIN_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d)
-include $(UNIT_BIN:=.d) $(NATIVE_BIN:=.d) $(BENCH_BIN:=.d) $(COMPARE_BIN:=.d)

.PHONY: check-unit check-native check-valgrind check-fuzz check-pgtap \
        check-recovery check-layers check-format format bench bench-models \
        tools \
        unit-programs test

# Sanitizers; the inner loop of development, needs no server.
check-unit: $(UNIT_BIN)
	prove $(PROVE_FLAGS) $(addprefix ./,$(UNIT_BIN))
# Optimised, with every full-size golden test.
check-native: $(NATIVE_BIN)
	prove $(PROVE_FLAGS) $(addprefix ./,$(NATIVE_BIN))
VALGRIND = env JSIMD_FORCENONE=1 valgrind -q --leak-check=full --show-leak-kinds=definite,indirect,possible --error-exitcode=99
check-valgrind: $(NATIVE_BIN)
	FACEREC_TEST_SMALL=1 prove $(PROVE_FLAGS) --exec "$(VALGRIND)" $(addprefix ./,$(NATIVE_BIN))
FUZZ_SECONDS ?= 30
check-fuzz: $(FUZZ_BIN)
	for f in $(notdir $(FUZZ_BIN)); do \
	  mkdir -p build/corpus/$$f src/test/fuzz/corpus/$$f && \
	  build/fuzz/$$f -rss_limit_mb=4096 -timeout=20 -max_total_time=$(FUZZ_SECONDS) build/corpus/$$f src/test/fuzz/corpus/$$f || exit 1; done

PGTAP_DB = $(CONTRIB_TESTDB)_pgtap
check-pgtap:
	dropdb --if-exists $(PGTAP_DB) && createdb $(PGTAP_DB)
	psql -qX -d $(PGTAP_DB) -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION $(EXTENSION)'
	PGOPTIONS="$$PGOPTIONS -c client_min_messages=warning" pg_prove -d $(PGTAP_DB) $(PROVE_FLAGS) sql_tests/pgtap/*.sql
	dropdb $(PGTAP_DB)

# Each script owns its cluster; they refuse to run as root, as initdb does.
check-recovery: $(TOOL_BIN)
	PGBIN="$$($(PG_CONFIG) --bindir)" prove $(PROVE_FLAGS) --exec bash sql_tests/recovery/[0-9]*.sh

# The hard edges of the include table in src/README.
check-layers:
	! grep -nE '#include ["<](postgres|fmgr|access/|catalog/|executor/|storage/|utils/|pg/|index/)' $$(find src/core src/kernels -name '*.[ch]')
	! grep -nE '#include "core/' $$(find src/kernels -name '*.[ch]')
	! grep -nE '#include "core/(image|nn|onnx|face|metric|track|search)/' $$(find src/core/base -name '*.[ch]')
	! grep -nE '#include "core/(nn|onnx|face|metric|track|search)/' $$(find src/core/image -name '*.[ch]')
	! grep -nE '#include "core/(image|onnx|face|metric|track|search)/' $$(find src/core/nn -name '*.[ch]')
	! grep -nE '#include "core/(image|face|metric|track|search)/' $$(find src/core/onnx -name '*.[ch]')
	! grep -nE '#include "core/(image|nn|onnx|face|metric|track)/' $$(find src/core/search -name '*.[ch]')
	! grep -nE '#include "(pg|core/(image|nn|onnx|face|track))/' $$(find src/index -name '*.[ch]')
	! grep -nE '\b(malloc|calloc|realloc|free|setjmp|longjmp)\(' $$(find src/pg src/index src/kernels -name '*.[ch]')
	! grep -nE '#include "(core|kernels|pg|index)/' src/networks/*.[ch]
	! grep -rnE '#include "\.\./' src
C_FILES = $(shell find src -name '*.[ch]' | sort)
format:       ; clang-format -i $(C_FILES)
check-format: ; clang-format --dry-run -Werror $(C_FILES)

bench: $(BENCH_BIN) $(COMPARE_BIN)
	for b in $(BENCH_BIN); do $$b || exit 1; done
# Networks with random weights for the benchmarks; needs python3-onnx.
BENCH_MODELS = $(or $(FACEREC_BENCH_MODELS),build/models)
PRETRAINED   = $(or $(FACEREC_TESTDATA),../shared)/models
QUANTISE     = python3 src/test/bench/make_quantized.py
bench-models:
	python3 src/test/bench/make_models.py $(BENCH_MODELS)
	for m in ir50 mobilefacenet facenet sphereface20; do $(QUANTISE) $(BENCH_MODELS)/$$m.onnx $(BENCH_MODELS)/$$m-int8.onnx || exit 1; done
	m=mobilefacenet-128; ! test -f $(PRETRAINED)/$$m.onnx || $(QUANTISE) $(PRETRAINED)/$$m.onnx $(BENCH_MODELS)/$$m-int8.onnx
	m=face-reidentification-retail-0095; ! test -f $(PRETRAINED)/$$m.onnx || $(QUANTISE) $(PRETRAINED)/$$m.onnx $(BENCH_MODELS)/$$m-int8.onnx 255
tools: $(TOOL_BIN)
unit-programs: $(UNIT_BIN) $(NATIVE_BIN)
test: check-layers check-unit installcheck check-pgtap
