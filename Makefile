# A thin front to CMake and Ninja.  `make help` lists the commands.

PRESET ?= release
SAN ?=
JOBS ?= $(shell nproc)
SEED ?= 1
TARGETS ?=
PY := /usr/bin/python3

ifneq ($(findstring thread,$(SAN)),)
override PRESET := tsan
else ifneq ($(SAN),)
override PRESET := asan
endif

BUILD := build/$(PRESET)
BIN := $(if $(filter release,$(PRESET)),bin,$(BUILD)/bin)

.PHONY: all help deps build run cluster test unit e2e check format transcripts sim sim-long diff fuzz bench coverage clean

all: build

help:
	@echo "make            install what is missing, build into bin/"
	@echo "make run        the same, then serve on 127.0.0.1:2379"
	@echo "make cluster    the same with three members, and how to talk to them"
	@echo "make test       the same, then pass every test      (SAN=address,undefined or SAN=thread)"
	@echo "make check      format, layers, symbols, sizes"
	@echo "make sim SEED=7 one seed of the simulators, of consensus and of whole members; make sim-long: 2,000 of the latter"
	@echo "make transcripts / make diff SEED=1 N=200000 / make fuzz / make bench CASE=put-64x1 / make coverage"

# Debian's packages, by name; nothing happens where all are there.
deps:
	@tools/deps

build: deps
	@mkdir -p build
	@test -f $(BUILD)/build.ninja || cmake --preset $(PRESET) -Wno-dev >build/$(PRESET).log || { cat build/$(PRESET).log; exit 1; }
	@ninja -C $(BUILD) -j $(JOBS) --quiet $(TARGETS)
	@if [ $(PRESET) = release ]; then tools/install-bin $(BUILD)/bin bin; fi

run: build
	@exec bin/etcd

cluster: build
	@exec tools/cluster

test: build
	@KETCH_BIN=$(CURDIR)/$(BIN) KETCH_BUILD=$(CURDIR)/$(BUILD) tools/run-tests

unit: build
	@cd $(BUILD) && ctest --output-on-failure -j $(JOBS)

e2e: build
	@KETCH_BIN=$(CURDIR)/$(BIN) $(PY) -m pytest -q tests/e2e

check: deps
	@tools/check

format:
	@clang-format-14 -i $$(git ls-files '*.c' '*.h')

transcripts: build
	@$(BUILD)/tests/unit_engine_raft_transcript_test

sim: build
	@$(BUILD)/tests/sim_raft --seed $(SEED) --seconds 60
	@$(BUILD)/tests/sim_member --seed $(SEED)

sim-long: build
	@$(BUILD)/tests/sim_member --seeds $(or $(SEEDS),1-2000) --jobs $(JOBS) --quiet

diff: build
	@KETCH_BIN=$(CURDIR)/$(BIN) KETCH_BUILD=$(CURDIR)/$(BUILD) $(PY) tests/diff/diff.py --seed $(SEED) --count $(or $(N),20000)

fuzz:
	@$(MAKE) --no-print-directory PRESET=fuzz TARGETS=fuzz_targets build
	@tools/fuzz build/fuzz $(or $(SECONDS_EACH),60)

# CASE="put-64x1 memory" and ROUNDS=5 choose; BENCH="..." is passed on (tests/bench/README.md).
bench: build
	@KETCH_BIN=$(CURDIR)/bin $(PY) tests/bench/compare.py --rounds $(or $(ROUNDS),3) $(addprefix --case ,$(CASE)) $(BENCH)

coverage:
	@$(MAKE) --no-print-directory PRESET=coverage build
	@tools/coverage build/coverage $(or $(FOLDER),src/engine/raft)

clean:
	rm -rf build bin
