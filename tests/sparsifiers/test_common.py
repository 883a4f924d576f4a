"""What holds for every sparsifier."""

import pickle
from importlib import import_module

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from skmtl import _layouts
from skmtl._objectives import Step
from skmtl.sparsifiers import SPARSIFIERS, Relu
from tests import instances

every_sparsifier = pytest.mark.parametrize("sparsifier", instances.SPARSIFIERS, ids=repr)


def test_instances_cover_the_tables():
    from skmtl._heads import KINDS
    from skmtl.balancers import BALANCERS
    from skmtl.dead_latents import DEAD_LATENTS
    from skmtl.head_penalties import HEAD_PENALTIES
    from skmtl.losses import LOSSES
    from skmtl.optimizers import OPTIMIZERS

    assert set(KINDS) == set(np.concatenate([np.atleast_1d(kinds) for kinds in instances.HEADS]))
    for table, listed in [
        (SPARSIFIERS, instances.SPARSIFIERS),
        (LOSSES, instances.LOSSES),
        (OPTIMIZERS, instances.OPTIMIZERS),
        (BALANCERS, instances.BALANCERS),
        (DEAD_LATENTS, instances.DEAD_LATENTS),
        (HEAD_PENALTIES, instances.HEAD_PENALTIES),
    ]:
        assert set(table.values()) <= {type(instance) for instance in listed}
        for cls in table.values():  # public, and so documented and validated
            package = import_module(cls.__module__.rpartition(".")[0])
            assert cls.__name__ in package.__all__


def forward(sparsifier, pre, train=False):
    params = {"b_enc": np.zeros(pre.shape[1], pre.dtype)}
    params.update(sparsifier.init(pre.shape[1], pre.dtype, np.random.default_rng(0)))
    step = Step(np.full(len(pre), 1 / len(pre), dtype=pre.dtype), train=train)
    return _layouts.to_dense(sparsifier.forward(pre, params, step))


@every_sparsifier
def test_row_alone_equals_row_among_others(sparsifier, rng):
    pre = rng.standard_normal((9, 8))
    whole = forward(sparsifier, pre)
    for i in range(9):
        assert_allclose(forward(sparsifier, pre[i : i + 1])[0], whole[i], rtol=1e-14)


@every_sparsifier
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_input_untouched(sparsifier, dtype, rng):
    pre = rng.standard_normal((9, 8)).astype(dtype)
    pre.flags.writeable = False
    code = forward(sparsifier, pre)
    assert code.dtype == dtype and code.shape == pre.shape
    assert (code >= 0).all()


@every_sparsifier
def test_no_overflow(sparsifier):
    with np.errstate(over="raise", invalid="raise"):
        code = forward(sparsifier, np.array([[-1e4, 1e4, 0.0, 3.0, 1.0, -2.0, 7.0, 1e-30]]))
    assert np.isfinite(code).all()


@every_sparsifier
def test_parameter_holder(sparsifier):
    assert clone(sparsifier).get_params() == sparsifier.get_params()
    assert repr(pickle.loads(pickle.dumps(sparsifier))) == repr(sparsifier)
    sparsifier.validate()


def test_relu():
    assert_allclose(forward(Relu(), np.array([[-1.0, 0.0, 2.0]])), [[0, 0, 2]])
