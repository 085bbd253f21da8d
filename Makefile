# 'make demo' and 'make test' set themselves up; everything else is in 'make help'.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= demo
OUT ?= demo
WORKERS ?= 2
SCRIPTS ?= 1000

.PHONY: help demo test lint docs digests test-full bench bench-throughput bench-faults bench-accuracy \
	bench-attention bench-bucketed bench-energy bench-fashion bench-generate bench-ksh bench-lanes bench-minilm \
	bench-reactions bench-softmax bench-synth prove clean

help:
	@echo "make demo       train, generate, simulate and verify on real images -> $(OUT)/"
	@echo "make test       lint and tests"
	@echo "make test-full  the whole tested matrix of configurations -> docs/results.md"
	@echo "make docs       the documentation as a site -> site/"
	@echo "make digests  Verilog, manifest, registers and bits of 99 engines, against what is recorded"
	@echo "make prove      every formal proof -> docs/results.md"
	@echo "make bench      simulation speed -> docs/results.md"
	@echo "make bench-throughput  cycles per token against the best schedule -> docs/results.md"
	@echo "make bench-generate  time and size of 'generate', up to the largest engines -> docs/results.md"
	@echo "make bench-lanes  cells and clock frequency of accumulate lanes -> docs/results.md"
	@echo "make bench-bucketed  cells and energy of tables against signed sums -> docs/results.md"
	@echo "make bench-softmax  cycles against softmax attention, and what that loses in integers"
	@echo "make bench-accuracy  accuracy over several seeds -> docs/results.md"
	@echo "make bench-fashion  five seeds on Fashion-MNIST, two hash families -> docs/results.md; hours"
	@echo "make bench-attention  time and memory beside softmax attention on the CPU -> docs/results.md"
	@echo "make bench-energy  operations and energy of six networks -> docs/results.md"
	@echo "make bench-ksh  hash learning against plain loops -> docs/results.md"
	@echo "make bench-minilm  a pretrained sentence encoder, converted -> docs/results.md; an hour"
	@echo "make bench-reactions  a pretrained model of reactions, converted -> docs/results.md; an hour"
	@echo "make bench-synth  cells and clock frequency of the presets -> docs/results.md; hours"
	@echo "make bench-faults  random fault scripts on the wire -> docs/results.md"
	@echo "make clean      remove what the targets made"
	@echo "make demo CONFIG=fashion OUT=demo-fashion   on Fashion-MNIST"

demo: $(VENV)/installed
	$(BIN)/ecoformer demo -c $(CONFIG) -o $(OUT)

test: $(VENV)/installed system-packages lint
	$(BIN)/pytest -n $(WORKERS)

lint: $(VENV)/installed
	$(BIN)/ruff check .

docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

digests: $(VENV)/installed
	$(BIN)/python -m tests.digests -n $(WORKERS)

test-full: $(VENV)/installed system-packages
	$(BIN)/python -m benchmarks.matrix

prove: $(VENV)/installed
	$(BIN)/python -m benchmarks.proofs -n $(WORKERS)

bench: $(VENV)/installed system-packages
	$(BIN)/python -m benchmarks.simulation_speed

bench-throughput: $(VENV)/installed
	$(BIN)/python -m benchmarks.throughput

bench-generate: $(VENV)/installed
	$(BIN)/python -m benchmarks.generation

bench-lanes: $(VENV)/installed
	$(BIN)/python -m benchmarks.lanes

bench-bucketed: $(VENV)/installed
	$(BIN)/python -m benchmarks.bucketed

bench-softmax: $(VENV)/installed
	$(BIN)/python -m benchmarks.softmax

bench-accuracy: $(VENV)/installed
	$(BIN)/python -m benchmarks.accuracy

bench-fashion: $(VENV)/installed
	$(BIN)/python -m benchmarks.accuracy fashion fashion-adders \
	  --seeds 5 --seed 0 --output build/fashion

bench-attention: $(VENV)/installed
	$(BIN)/python -m benchmarks.linear_attention

bench-energy: $(VENV)/installed
	$(BIN)/python -m benchmarks.energy

bench-ksh: $(VENV)/installed
	$(BIN)/python -m benchmarks.ksh_speed

bench-minilm: $(VENV)/installed
	$(BIN)/python -m benchmarks.minilm

bench-reactions: $(VENV)/installed
	$(BIN)/python -m pip install -q -c constraints.txt rdkit
	$(BIN)/python -m benchmarks.reactions

bench-synth: $(VENV)/installed
	$(BIN)/python -m benchmarks.synthesis

bench-faults: $(VENV)/installed
	$(BIN)/python -m benchmarks.fault_scripts --scripts $(SCRIPTS)

# Icarus runs the second half of the simulator tests; without it they are skipped and say so.
.PHONY: system-packages
system-packages:
	@command -v iverilog >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get -qq update && apt-get -qq install -y iverilog >/dev/null; \
	else \
	  echo "Icarus Verilog is missing: tests that need it are skipped (Debian: apt install iverilog)"; \
	fi

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, not $$($(PYTHON) --version); set PYTHON=…"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[learn,dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(OUT) build site *.egg-info .pytest_cache .ruff_cache .hypothesis
