# Two commands do everything on a machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# One environment that grows: what the commands need, then what the tests and the tools need.
INSTALLED := $(VENV)/.installed
DEVELOPED := $(VENV)/.installed-dev
PIP := $(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Without an NVIDIA GPU: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# takes torch from that index, without about 5 GB of CUDA libraries.
TORCH_INDEX ?=

# Each worker and each command that a test starts would compile the modules anew without it.
KEPT := PYTHONDONTWRITEBYTECODE=

# Holds each library to AVX2, as on a processor without AVX-512. ONNX Runtime has no such switch.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
	OV_CPU_MAX_ISA=AVX2 OPENBLAS_CORETYPE=Haswell OPENCV_CPU_DISABLE=AVX512-SKX \
	NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"
# Left out of it: pages, cameras, servers, kills and damaged files. A new file is in it by itself.
NOT_NUMBERS := web studio shelf project live fuzz isolation kills disk_faults prepare cluster
# Cameras need both cores: these run one by one, after the rest of the slow lane.
BROWSERS := $(wildcard tests/test_*browser*.py) tests/test_studio_end_to_end.py
NOT_AVX2 := $(NOT_NUMBERS:%=--ignore-glob='tests/test_%*.py')

.PHONY: help demo test test-avx2 test-slow test-wheel test-container fuzz faults lint docs bench bench-avx2 accuracy \
	backbone clean

help:
	@echo "make demo       draw clips, train, evaluate, classify: offline, 3 to 5 minutes"
	@echo "make test       the tests, about 5 minutes on 2 cores"
	@echo "make test-avx2  the tests that touch numbers, with every library held to AVX2, as long"
	@echo "make test-slow  the slow lane: real clips, kills, long inputs, half an hour on 2 cores"
	@echo "make test-wheel      the built wheel, installed in an environment of its own"
	@echo "make test-container  each line of the Dockerfile in a Debian of its own: root, debootstrap"
	@echo "make fuzz       thousands of damaged files of each kind, about 5 minutes on 2 cores"
	@echo "make faults     100 kills of extraction, 30 of training, full disks, about 12 minutes"
	@echo "make lint       ruff and mypy"
	@echo "make docs       the pages as a site, into site/"
	@echo "make bench      speed beside rivals, limits, goals and the last time (docs/speed.md)"
	@echo "make bench-avx2      the same with every library held to AVX2"
	@echo "make accuracy   accuracy on the real data sets, into benchmarks/results/"
	@echo "make backbone   train the package's own small network again, on frames that are drawn"
	@echo "make clean      remove the environment, runs, caches and what was built"
	@echo "TORCH_INDEX=https://download.pytorch.org/whl/cpu: torch without CUDA (docs/install.md)"

demo: $(INSTALLED)
	$(RUN)/action-gru demo

test: $(DEVELOPED)
	$(KEPT) OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-avx2: $(DEVELOPED)
	$(KEPT) OMP_NUM_THREADS=1 $(AVX2) $(RUN)/python -m pytest -n 2 --dist loadfile -m "not slow" \
		$(NOT_AVX2)

test-slow: $(DEVELOPED)
	$(KEPT) OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n 2 --dist worksteal -m slow --timeout=1800 \
		$(BROWSERS:%=--ignore=%)
	$(KEPT) $(RUN)/python -m pytest -m slow --timeout=1800 $(BROWSERS)

# ARGS="-k manifest" for one kind. One case again: PYTHONPATH=tests python -m helpers.fuzzing manifest 17 1
FUZZ_CASES ?= 5000
fuzz: $(DEVELOPED)
	OMP_NUM_THREADS=1 FUZZ_CASES=$(FUZZ_CASES) $(RUN)/python -m pytest tests/test_fuzz.py -s $(ARGS)

# KILL_SEED=1 for other moments. As many kills over extraction, three in ten of them over training.
KILLS ?= 100
faults: $(DEVELOPED)
	KILLS=$(KILLS) OMP_NUM_THREADS=1 $(RUN)/python -m pytest -s --timeout=3600 \
		tests/test_kills.py tests/test_disk_faults.py tests/test_bad_clips.py

# The wheel is built from the source archive, so both are what is tested.
test-wheel: $(DEVELOPED)
	WHEEL=build/wheel $(RUN)/python -m pytest -n 0 tests/test_wheel.py

# TORCH_INDEX=... replaces the file's index of torch; PIP_* of the shell reach the build. Minutes, 4 GB in build/.
test-container: $(DEVELOPED)
	CONTAINER=build/container $(RUN)/python -m pytest -n 0 tests/test_container.py

lint: $(DEVELOPED)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

# Material's notice of its own future is no warning of these pages.
docs: $(DEVELOPED)
	NO_MKDOCS_2_WARNING=1 $(RUN)/python -m mkdocs build --strict

# ARGS="--quick": the rows with a goal. "--data DIR --weights yolo26n-cls.pt": clips of your own. docs/speed.md
bench: $(DEVELOPED)
	$(RUN)/python benchmarks/speed.py $(ARGS)

bench-avx2: $(DEVELOPED)
	$(AVX2) $(RUN)/python benchmarks/speed.py $(ARGS)

accuracy: $(DEVELOPED)
	$(RUN)/python benchmarks/accuracy.py $(ARGS)

# Trains the package's own small backbone again, on frames that the repo draws.
backbone: $(DEVELOPED)
	$(RUN)/python scripts/train_builtin_backbone.py

# Made anew when it is missing, broken, of a Python too old, or older than what it was installed from.
$(INSTALLED): pyproject.toml constraints.txt
	@$(RUN)/python -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || rm -rf $(VENV)
	@echo "installing into $(VENV): $(if $(TORCH_INDEX),torch from $(TORCH_INDEX),about 6 GB with torch), some minutes"
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch torchvision)
	$(PIP) -e .
	@touch $@

$(DEVELOPED): $(INSTALLED)
	@echo "adding to $(VENV) what the tests and the tools need"
	$(PIP) -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) runs cache data/demo build dist site
