# make course   set up, build the website, make the students' notebooks, grade the sample submissions
# make test     set up, then everything that CI checks
# make bench    set up, then the measurements of the results page
# make mutants  set up, then the results page's table of what the checks notice

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PACKAGE = --editable '.[dev]'
PAGES   = _build/html/index.html

# NumPy's and torch's thread pools fight over the cores; one thread each is faster.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export PYTHONHASHSEED ?= 0
# uv trusts what the system trusts, as pip and the browser do (two names: of its newer and its older versions).
export UV_SYSTEM_CERTS ?= 1
export UV_NATIVE_TLS ?= 1
# Real data beside the checkout, where there is some; else the readers' cache (see dlcourse.data).
ifneq ($(wildcard ../shared/data),)
export DLCOURSE_DATA ?= $(abspath ../shared/data)
endif

.PHONY: course test bench mutants setup book release grade lint clean

course: setup release book grade
	@echo
	@echo "website: file://$(CURDIR)/$(PAGES)"
	@echo "student notebooks: notebooks/exercises/"

setup: $(READY)
	@sh tools/system.sh

# Compiled at once: in the sandbox, where nothing can be written, every kernel would compile anew.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt $(PACKAGE) \
	  || $(BIN)/python -m pip install --quiet --constraint constraints.txt $(PACKAGE) \
	  || { echo "constraints.txt does not fit this Python: installing the newest that do"; \
	       $(BIN)/python -m pip install --quiet $(PACKAGE); }
	touch $@

release: setup
	$(BIN)/dlcourse release

book: setup
	$(BIN)/jupyter-book build . -W -n --keep-going

grade: setup
	$(BIN)/python tools/grade_samples.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: setup lint book
	@sh tools/system.sh test
	$(BIN)/pytest -n 2 --dist loadfile tests
	$(BIN)/pytest --nbval-lax --nbval-cell-timeout 120 -n 2 --dist loadfile notebooks/*.ipynb solutions/*/*.ipynb
	$(BIN)/python tools/grade_samples.py

bench: setup
	for each in benchmarks/*.py; do $(BIN)/python $$each --write book/results/$$(basename $$each .py).md || exit 1; done
	$(BIN)/python benchmarks/grading.py --memory 1000 --write book/results/grading_memory.md

mutants: setup
	$(BIN)/dlcourse mutate --markdown book/results/mutation.md

clean:
	rm -rf _build .cache grades autograded feedback gradebook.db gradebook.db.lock .dlcourse
