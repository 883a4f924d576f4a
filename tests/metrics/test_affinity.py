import numpy as np
import pytest

from skmtl.metrics import task_groups


def blocks(sizes, within=0.5, between=-0.1):
    of = np.repeat(np.arange(len(sizes)), sizes)
    out = np.where(of == of[:, None], within, between)
    np.fill_diagonal(out, 1)
    return out, of


def test_blocks_are_found_in_any_order(rng):
    affinity, of = blocks([3, 1, 4])
    assert task_groups(affinity).tolist() == of.tolist()
    order = rng.permutation(8)
    groups = task_groups(affinity[np.ix_(order, order)])
    assert (groups == groups[:, None]).tolist() == (of[order] == of[order][:, None]).tolist()
    assert groups[0] == 0 and groups.max() == 2  # numbered by first appearance


def test_number_of_groups():
    affinity, _ = blocks([3, 1, 4])
    for n_groups in (1, 2, 3):
        assert len(set(task_groups(affinity, n_groups))) == n_groups
    assert task_groups([[1.0]]).tolist() == [0]
    assert task_groups(np.eye(3)).tolist() == [0, 1, 2]  # nothing in common joins nothing
    affinity[1] = affinity[:, 1] = np.nan
    assert (task_groups(affinity) == task_groups(affinity)[1]).sum() == 1


@pytest.mark.parametrize("n_groups", [0, 4, -1])
def test_errors(n_groups):
    with pytest.raises(ValueError, match="n_groups must be from 1 to the number of tasks, 3"):
        task_groups(np.eye(3), n_groups)
    with pytest.raises(ValueError, match=r"affinity must be square.*\(2, 3\)"):
        task_groups(np.ones((2, 3)))
