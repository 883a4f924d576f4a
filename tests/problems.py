"""Small problems for gradient checks: params, state, batch and step of an objective."""

import numpy as np

from skmtl._autoencoder import init_params
from skmtl._heads import init_heads, init_skip
from skmtl._objectives import Additive, Batch, MixtureLikelihood, Objective, Step, Tasks
from skmtl._private import init_private
from skmtl.balancers import Equal
from skmtl.losses import Mixture

N_CLASSES = (2, 3, 0, 4)  # the third task has no label


def labels_with_gaps(n_rows, rng):
    """Integer labels of four tasks, a third of them missing, and their weights."""
    labels = np.full((n_rows, len(N_CLASSES)), -1)
    for t, n_classes in enumerate(N_CLASSES):
        if n_classes:
            labels[:, t] = rng.integers(0, n_classes, n_rows)
    labels[rng.random(labels.shape) < 1 / 3] = -1
    weight = rng.uniform(0.5, 1.5, labels.shape) * (labels >= 0) / n_rows
    return labels, weight


def small_problem(
    loss,
    sparsifier,
    *,
    tasks=False,
    kinds="softmax",
    skip=False,
    private=None,
    sparse=False,
    n_rows=12,
    seed=0,
):
    """An objective at a random point: ``objective, params, state, batch, step``."""
    import scipy.sparse as sp

    rng = np.random.default_rng(seed)
    n_features, n_components = 5, 8
    X = rng.uniform(0, 1, (n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.7)
    params = init_params(n_components, n_features, np.float64, rng.standard_normal(n_features), rng)
    if isinstance(loss, Mixture):
        loss.init(params, X, np.ones(n_rows), rng)
    params.update(sparsifier.init(n_components, np.float64, rng))
    state = {"rng": rng}
    batch = Batch(sp.csr_array(X) if sparse else X)
    part = None
    if tasks:
        real = np.broadcast_to(kinds, len(N_CLASSES)) == "squared_error"
        offsets = np.cumsum([0, *np.where(real, np.minimum(N_CLASSES, 1), N_CLASSES)])
        params.update(init_heads(n_components, offsets, np.float64))
        if skip:
            params.update(init_skip(n_features, offsets, np.float64))
        if private is not None:
            params.update(init_private(private, offsets, params, rng))
        balancer = Equal()
        state["balancer"] = balancer.init(len(N_CLASSES), [c or None for c in N_CLASSES])
        labels, weight = labels_with_gaps(n_rows, rng)
        batch = Batch(batch.X, np.where(real, np.minimum(labels, 0), labels), weight)
        part = Tasks(offsets, balancer, kinds=kinds)
        if real.any():
            batch = batch._replace(targets=rng.standard_normal(labels.shape) * (labels >= 0))
    # Off the symmetric start, so that no derivative is zero by accident.
    params = {k: v + 0.1 * rng.standard_normal(v.shape) for k, v in params.items()}
    reconstruction = (MixtureLikelihood if isinstance(loss, Mixture) else Additive)(loss)
    objective = Objective(sparsifier, reconstruction, 0.7 if tasks else 1.0, tasks=part)
    objective.private = private
    return objective, params, state, batch, Step(rng.uniform(0.5, 1.5, n_rows) / n_rows)
