"""Delta_m: the relative gain over a baseline, with an interval and the tasks that are harmed."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student
from sklearn.utils.validation import check_random_state

from skmtl._arrays import as_floats


def relative_gain(
    scores: ArrayLike, baseline: ArrayLike, *, higher_is_better: bool | ArrayLike = True
) -> float:
    """Delta_m: mean relative gain over a baseline, in percent.

    Parameters
    ----------
    scores : array-like of shape (n_tasks,) or (n_tasks, n_metrics)
        Scores of the model.
    baseline : array-like of the same shape
        Scores of the baseline, such as one single-task model per task. Not zero.
    higher_is_better : bool or array-like of bool of shape (n_metrics,), default=True
        Whether a higher score is better, for all or for each metric.

    Returns
    -------
    gain : float
        ``100 * mean_t mean_m (score - baseline) / |baseline|``, the sign turned for metrics where
        lower is better. Scores near zero make it meaningless; for those pass errors.

    References
    ----------
    Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019.

    Examples
    --------
    >>> from skmtl.metrics import relative_gain
    >>> round(relative_gain([0.9, 0.8], [0.8, 0.8]), 2)
    6.25
    """
    scores, baseline = as_floats(scores, "scores"), as_floats(baseline, "baseline")
    if scores.shape != baseline.shape or scores.ndim not in (1, 2) or scores.size == 0:
        raise ValueError(
            "scores and baseline must have one shape, (n_tasks,) or (n_tasks, n_metrics); got "
            f"{scores.shape} and {baseline.shape}."
        )
    if (baseline == 0).any():
        raise ValueError("baseline must not be zero; pass errors in place of such scores.")
    sign = np.where(higher_is_better, 1.0, -1.0)
    return float(100 * np.mean(sign * (scores - baseline) / np.abs(baseline)))


@dataclass(frozen=True)
class RelativeGain:
    """What `relative_gain_report` found; gains are in percent, positive where errors fell.

    Parameters
    ----------
    gain : float
        Delta_m, the mean over tasks of ``task_gain``.
    interval : tuple of float
        Bootstrap interval of ``gain``.
    task_gain : ndarray of shape (n_tasks,)
        Relative fall of each task's error.
    task_interval : ndarray of shape (n_tasks, 2)
        Bootstrap interval of each.
    difference : ndarray of shape (n_tasks,)
        Mean error less mean baseline error; positive where the task got worse.
    standard_error : ndarray of shape (n_tasks,)
        Of ``difference``; NaN for a task with one unit.
    p_value : ndarray of shape (n_tasks,)
        One-sided p-value of "the task got worse" by the paired t-test.
    n_beyond : int
        Tasks whose ``difference`` is beyond two standard errors.
    n_by_chance : float
        How many such tasks chance alone lets one expect where no task is harmed or helped.
    harmed : ndarray of bool of shape (n_tasks,)
        Tasks that got worse after Holm's correction.
    """

    gain: float
    interval: tuple[float, float]
    task_gain: np.ndarray
    task_interval: np.ndarray
    difference: np.ndarray
    standard_error: np.ndarray
    p_value: np.ndarray
    n_beyond: int
    n_by_chance: float
    harmed: np.ndarray


def relative_gain_report(
    errors: ArrayLike,
    baseline: ArrayLike,
    *,
    n_resamples: int = 2000,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> RelativeGain:
    r"""Delta_m on errors, with its bootstrap interval and the tasks that are harmed.

    Parameters
    ----------
    errors : array-like of shape (n_units, n_tasks)
        Errors of the model, 0 or more. A unit is what is resampled: a test row (then entries are
        losses, such as 0 and 1), or a run with a seed or split of its own (then entries are
        errors over its test rows, such as 1 - AUC). NaN where a unit has no label of the task.
    baseline : array-like of shape (n_units, n_tasks)
        Errors of the baseline on the same units, such as one single-task model per task. NaN in
        the same places.
    n_resamples : int, default=2000
        Bootstrap draws.
    confidence_level : float, default=0.95
        Of the intervals; Holm's correction is at one minus this.
    random_state : int, RandomState instance or None, default=None
        Of the draws.

    Returns
    -------
    report : RelativeGain
        Gains, intervals, and who is harmed.

    Raises
    ------
    ValueError
        If shapes or gaps differ, an error is negative, or a task has no unit or a baseline
        without error.

    See Also
    --------
    relative_gain : Delta_m of given scores.

    Notes
    -----
    A task's errors :math:`m_t` and :math:`b_t` are the means over its units, and

    .. math::

       \Delta_m = \frac{100}{T} \sum_t \frac{b_t - m_t}{b_t}.

    The bootstrap is paired: each draw takes ``n_units`` units with replacement, the same for model,
    baseline and all tasks; intervals are percentiles over draws. A task without units or baseline
    error in a draw is left out of that draw. With :math:`d_t` the mean of the paired differences
    :math:`m_{it} - b_{it}` and :math:`s_t` its standard error, a task is beyond two standard errors
    where :math:`d_t > 2 s_t`, which chance does to it with probability
    :math:`P(t_{n_t - 1} > 2)`; it is harmed where its p-value :math:`P(t_{n_t - 1} > d_t / s_t)`
    is rejected by Holm's step-down procedure over all tasks. Runs on random splits of one data set
    share rows: their standard errors come out too small.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993. Holm, "A simple sequentially
    rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.metrics import relative_gain_report
    >>> rng = np.random.default_rng(0)
    >>> baseline = rng.normal([0.2, 0.3], 0.02, (10, 2))
    >>> errors = baseline + rng.normal([-0.02, 0.03], 0.01, (10, 2))
    >>> report = relative_gain_report(errors, baseline, random_state=0)
    >>> report.task_gain.round(1), report.harmed
    (array([ 11.4, -11.1]), array([False,  True]))
    """
    errors, baseline = as_floats(errors, "errors"), as_floats(baseline, "baseline")
    counted = _check_errors(errors, baseline)
    if not isinstance(n_resamples, Integral) or n_resamples < 1:
        raise ValueError(f"n_resamples must be an integer of at least 1; got {n_resamples!r}.")
    if not isinstance(confidence_level, Real) or not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must be in (0, 1); got {confidence_level!r}.")
    n = counted.sum(axis=0)
    ours, theirs = np.where(counted, errors, 0), np.where(counted, baseline, 0)
    task_gain = _gains(np.ones(len(errors)), ours, theirs)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
    draws = np.array([_gains(_draw(len(errors), rng), ours, theirs) for _ in range(n_resamples)])
    tails = [(1 - confidence_level) / 2, (1 + confidence_level) / 2]

    difference = (ours - theirs).sum(axis=0) / n
    spread = np.where(counted, errors - baseline - difference, 0)
    more = np.maximum(n - 1, 1)
    standard_error = np.where(n > 1, np.sqrt((spread**2).sum(axis=0) / more / n), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # no spread: certain, or no difference
        p_value = student.sf(difference / standard_error, more)
    p_value = np.where(np.isnan(p_value), 1.0, p_value)
    return RelativeGain(
        gain=float(task_gain.mean()),
        interval=tuple(map(float, np.nanquantile(_mean_over_tasks(draws), tails))),
        task_gain=task_gain,
        task_interval=np.nanquantile(draws, tails, axis=0).T,
        difference=difference,
        standard_error=standard_error,
        p_value=p_value,
        n_beyond=int(np.count_nonzero(difference > 2 * standard_error)),
        n_by_chance=float(student.sf(2, more)[n > 1].sum()),
        harmed=_holm(p_value, 1 - confidence_level),
    )


def _check_errors(errors, baseline):
    """Mask of the units and tasks with errors."""
    if errors.shape != baseline.shape or errors.ndim != 2 or errors.size == 0:
        raise ValueError(
            "errors and baseline must have one shape, (n_units, n_tasks); got "
            f"{errors.shape} and {baseline.shape}."
        )
    counted = ~np.isnan(errors)
    if not np.array_equal(counted, ~np.isnan(baseline)):
        raise ValueError(
            "errors and baseline must be NaN in the same places, to be paired; they differ in "
            f"{np.count_nonzero(counted == np.isnan(baseline))} entries."
        )
    for name, array in (("errors", errors), ("baseline", baseline)):
        if not (np.isfinite(array[counted]).all() and (array[counted] >= 0).all()):
            raise ValueError(
                f"{name} must be finite and 0 or more; got values from {array[counted].min()} to "
                f"{array[counted].max()}. Pass errors, such as 1 - accuracy."
            )
    without = np.flatnonzero(np.where(counted, baseline, 0).sum(axis=0) == 0)
    if len(without):
        raise ValueError(
            "Each task must have units and a baseline whose error is not zero; "
            f"tasks {without.tolist()[:5]} have not. Leave them out."
        )
    return counted


def _draw(n_units, rng):
    """How often each unit is drawn."""
    return np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)


def _gains(times, ours, theirs):
    """Relative fall of each task's error in percent; NaN without baseline error.

    Model and baseline count the same units, so that sums do for means.
    """
    error, base = times @ ours, times @ theirs
    return 100 * (base - error) / np.where(base > 0, base, np.nan)


def _mean_over_tasks(draws):
    there = ~np.isnan(draws)
    count = there.sum(axis=1)
    return np.where(there, draws, 0).sum(axis=1) / np.where(count > 0, count, np.nan)


def _holm(p_value, level):
    """Which hypotheses Holm's step-down procedure rejects."""
    order = np.argsort(p_value, kind="stable")
    n = len(p_value)
    passed = p_value[order] <= level / np.arange(n, 0, -1)
    rejected = np.zeros(n, dtype=bool)
    rejected[order[: n if passed.all() else passed.argmin()]] = True
    return rejected
