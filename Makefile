# make demo: DCEC on real digits for five seeds.   make test: what CI runs.
PYTHON ?= python3

.PHONY: demo test bench

demo: .venv/plots
	.venv/bin/jaxclust fit dcec --data digits --seeds 5 --preset quick --out runs/demo $(if $(wildcard runs/demo),--resume)

test: .venv/test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

bench: .venv/bench
	.venv/bin/python -m benchmarks.step
	.venv/bin/python -m benchmarks.seeds

# One virtual environment; each file in it marks an extra as installed with the pinned versions.
.venv/plots .venv/test .venv/bench: setup.cfg pyproject.toml requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check -c requirements.txt -e '.[$(notdir $@)]'
	touch $@
