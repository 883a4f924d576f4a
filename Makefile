# Each target does all its own set-up in a virtual environment; Python >= 3.11 is all it needs.
PYTHON ?= python3
VENV ?= .venv
PY = $(VENV)/bin/python

.PHONY: demo test test-nojit test-bounds test-oldest test-long lint docs wheel clean

demo: $(VENV)/.demo
	mkdir -p demo_output
	cd demo_output && MPLBACKEND=Agg ../$(PY) ../examples/plot_multitask_digits.py
	@echo "Figure: demo_output/multitask_digits.png"

test: $(VENV)/.test
	SCIPY_ARRAY_API=1 MPLBACKEND=Agg $(PY) -m pytest -n auto $(ARGS)

# The same once more as plain Python, which coverage can see: all but what is marked `compiled`.
test-nojit: $(VENV)/.test
	NUMBA_DISABLE_JIT=1 MPLBACKEND=Agg $(PY) -m pytest -n auto tests -m "not compiled and not long" \
		--cov=skmtl --cov-report=term-missing:skip-covered --cov-fail-under=95 $(ARGS)

# With every index in the kernels checked. Numba's cache does not tell such code apart: a folder of
# its own.
test-bounds: $(VENV)/.test
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(abspath $(VENV)/boundscheck) MPLBACKEND=Agg \
		$(PY) -m pytest -n auto tests/test_bounds.py tests/test_properties.py $(ARGS)

# With the oldest supported version of everything: a fit of each kind, files, and of scikit-learn's
# checks those of a regressor, and those for its own estimators of all three.
test-oldest: $(VENV)-oldest/.installed
	NUMBA_CACHE_DIR=$(abspath $(VENV)-oldest/kernels) MPLBACKEND=Agg \
		$(VENV)-oldest/bin/python -m pytest -n auto tests/golden tests/files/test_save_load.py \
		tests/test_sklearn.py -k "golden or save_load or further or Regressor" $(ARGS)

# Tests whose short form runs above, at length: minutes.
test-long: $(VENV)/.test
	MPLBACKEND=Agg $(PY) -m pytest -n auto -m long tests $(ARGS)
	$(PY) -m pytest -n auto tests/test_properties.py --hypothesis-profile=long $(ARGS)

lint: $(VENV)/.lint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) docs/validate_docstrings.py

docs: $(VENV)/.docs
	MPLBACKEND=Agg $(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

# Build the wheel, install it in an empty environment and use it there, away from the sources.
wheel: $(VENV)/.wheel
	rm -rf build dist
	$(PY) -m pip wheel --no-deps -q -w dist .
	rm -rf $(VENV)-wheel && $(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install -q dist/*.whl
	cd / && $(abspath $(VENV)-wheel)/bin/python -c "\
	import numpy as np, skmtl; X = np.random.default_rng(0).random((50, 4)); \
	print(skmtl.__version__, skmtl.MultiTaskSAEClassifier(8).fit(X, X > .5).score(X, X > .5))"
	rm -rf $(VENV)-wheel

clean:
	rm -rf $(VENV) $(VENV)-wheel $(VENV)-oldest build dist demo_output docs/_build docs/auto_examples docs/generated

$(VENV)/.base:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'skmtl needs Python >= 3.11')"
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)-oldest/.installed: tests/oldest.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install -q -r tests/oldest.txt -e .
	touch $@

# One marker per extra: installed again when the requirements change.
$(VENV)/.demo: EXTRA = plot
$(VENV)/.test: EXTRA = test
$(VENV)/.lint: EXTRA = lint
$(VENV)/.docs: EXTRA = docs
$(VENV)/.wheel: EXTRA = plot
$(VENV)/.demo $(VENV)/.test $(VENV)/.lint $(VENV)/.docs $(VENV)/.wheel: $(VENV)/.base pyproject.toml
	$(PY) -m pip install -q -e '.[$(EXTRA)]'
	touch $@
