"""Peak memory of a fit and a transform on a million rows of 100 features, as a multiple of X.

Each case is a process of its own, whose peak resident memory after X is made is subtracted.
"""

import argparse
import json
import subprocess
import sys

from results import part

CASES = {
    "fit, TopK(16) of 512": "fit(TopK(16))",
    "fit, TopK(16, search_every=4) of 512": "fit(TopK(16, search_every=4))",
    "fit, relu code of 512": "fit(None)",
    "transform, sparse_output": "fit(TopK(16), rows=10000).transform(X)",
    "predict, 10 tasks": "predict()",
}
ROWS, FEATURES, LATENTS = 1_000_000, 100, 512
CODE = """
import json, resource, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl.sparsifiers import TopK
n, d, m = {rows}, {features}, {latents}
X = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
def fit(sparsifier, rows=n):
    return SparseAutoencoderTransformer(m, sparsifier=sparsifier, max_iter=2, tol=None,
        batch_size=1024, sparse_output=True, random_state=0).fit(X[:rows])
def predict():
    Y = X[:10000, :10] > 0
    return MultiTaskSAEClassifier(m, max_iter=1, tol=None).fit(X[:10000], Y).predict(X)
fit(TopK(16), 3000), fit(None, 3000)  # compiled, loaded
def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
before = peak()
kept = {case}
print(json.dumps((peak() - before) / X.nbytes))
"""


def multiple(case):
    """Additional peak memory of a case over the bytes of X."""
    code = CODE.format(rows=ROWS, features=FEATURES, latents=LATENTS, case=case)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redo", action="store_true", help="measure all again")
    redo = parser.parse_args().redo
    settings = {"rows": ROWS, "features": FEATURES, "latents": LATENTS}
    for i, (label, case) in enumerate(CASES.items()):
        result = part("memory", i, settings | {"case": case}, lambda c=case: multiple(c), redo)
        print(f"{label:40} {result:6.2f} times X beside X")


if __name__ == "__main__":
    main()
