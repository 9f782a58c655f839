# make demo: DCEC on real digits for five seeds.   make test: what CI runs.   make full: everything.   make docs: the site.
# make dist: wheel and source distribution of a release, in dist/.
PYTHON ?= python3
PYTEST = .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test full lint style bench docs dist

demo: .venv/plots
	.venv/bin/jaxclust fit dcec --data digits --seeds 5 --preset quick --out runs/demo $(if $(wildcard runs/demo),--resume)

style: .venv/test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

# What needs no test to run. One of the tests calls pyright, beside the others.
lint: style
	.venv/bin/python -m pyright

test: style
	$(PYTEST)

# The tests marked slow, too.
full: style
	$(PYTEST) -m "slow or not slow"

# The site, in build/site. It needs no network once its tools are installed.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

# The files of a release, in dist/, built in an environment of their own and checked.
dist: .venv/build
	rm -rf dist build/lib
	.venv/bin/python -m build
	.venv/bin/python -m twine check --strict dist/*

bench: .venv/bench
	.venv/bin/python -m benchmarks.step
	.venv/bin/python -m benchmarks.seeds

# One virtual environment; each file in it marks an extra as installed with the pinned versions.
.venv/plots .venv/test .venv/bench .venv/docs .venv/build: setup.cfg pyproject.toml requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check -c requirements.txt -e '.[$(notdir $@)]'
	touch $@
