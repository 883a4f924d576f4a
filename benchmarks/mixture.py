"""The plain Gaussian mixture by gradients beside scikit-learn's EM, best of five starts for both.

Prints the difference of held-out log-likelihoods in nats per row and feature, over several sets of
blobs.
"""

import argparse

import numpy as np
from results import part
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture

from skmtl import SparseAutoencoderTransformer
from skmtl.losses import Mixture

SETTINGS = {"learning_rate": 0.05, "schedule": "linear_decay", "max_iter": 150, "tol": None}
CASES = [(d, h, seed) for d in (2, 5, 10) for h in (3, 6) for seed in range(3)]


def one_case(n_features, n_components, seed):
    """Held-out log-likelihood per row and feature, ours and EM's."""
    rng = np.random.default_rng(seed)
    X, _ = make_blobs(
        4000,
        n_features,
        centers=rng.uniform(-6, 6, (n_components, n_features)),
        cluster_std=rng.uniform(0.5, 2, n_components),
        random_state=seed,
    )
    train, test = X[:3000], X[3000:]
    em = GaussianMixture(n_components, covariance_type="spherical", n_init=5, random_state=seed)
    starts = [
        SparseAutoencoderTransformer(
            n_components, loss=Mixture(amortized=False), random_state=start, **SETTINGS
        ).fit(train)
        for start in range(5)
    ]
    best = max(starts, key=lambda model: model.score(train))
    return [best.score(test) / n_features, em.fit(train).score(test) / n_features]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redo", action="store_true", help="run all cases again")
    redo = parser.parse_args().redo
    print("features components seed      skmtl        EM   difference (nats a row and feature)")
    for case in CASES:
        name = "-".join(map(str, case))
        ours, em = part("mixture", name, SETTINGS, lambda case=case: one_case(*case), redo)
        print(f"{case[0]:8} {case[1]:10} {case[2]:4} {ours:10.4f} {em:9.4f} {ours - em:+12.4f}")


if __name__ == "__main__":
    main()
