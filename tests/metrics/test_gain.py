import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import t as student
from scipy.stats import ttest_rel

from skmtl.metrics import relative_gain, relative_gain_report, task_groups


@pytest.fixture
def runs(rng):
    """Twelve paired runs of four tasks: helped, harmed, no difference, noise."""
    baseline = rng.normal([0.2, 0.3, 0.1, 0.4], 0.02, (12, 4))
    effect = rng.normal([-0.02, 0.03, 0, 0], [0.01, 0.01, 0, 0.01], (12, 4))
    return baseline + effect, baseline


def test_gain_is_that_of_the_mean_errors(runs):
    errors, baseline = runs
    report = relative_gain_report(errors, baseline, n_resamples=50, random_state=0)
    expected = relative_gain(errors.mean(axis=0), baseline.mean(axis=0), higher_is_better=False)
    assert_allclose(report.gain, expected)
    assert_allclose(report.task_gain.mean(), report.gain)


def test_tests_are_the_paired_t_test_with_holm(runs):
    errors, baseline = runs
    report = relative_gain_report(errors, baseline, n_resamples=50, random_state=0)
    for t in (0, 1, 3):
        expected = ttest_rel(errors[:, t], baseline[:, t], alternative="greater").pvalue
        assert_allclose(report.p_value[t], expected)
    assert report.p_value[2] == 1 and report.standard_error[2] == 0
    assert_array_equal(report.harmed, [False, True, False, False])
    beyond = report.difference > 2 * report.standard_error
    assert report.n_beyond == beyond.sum() >= 1
    assert_allclose(report.n_by_chance, 4 * student.sf(2, 11))


def test_holm_steps_down():
    """p = .01, .02, .04 of three: at .05 all three fall, at .03 only the first."""
    x = np.linspace(-1, 1, 9)
    x /= x.std(ddof=1) / 3  # standard error 1
    shift = student.isf([0.01, 0.02, 0.04], 8)
    baseline = np.full((9, 3), 50.0)
    errors = baseline + x[:, None] + shift
    for level, expected in ((0.95, [True, True, True]), (0.969, [True, False, False])):
        report = relative_gain_report(errors, baseline, confidence_level=level, n_resamples=5)
        assert_allclose(report.p_value, [0.01, 0.02, 0.04])
        assert_array_equal(report.harmed, expected)


def test_rows_as_units_with_gaps(rng):
    """Losses of test rows: a task's error is the mean over its own rows."""
    baseline = (rng.random((200, 3)) < 0.3).astype(float)
    errors = (rng.random((200, 3)) < 0.2).astype(float)
    gaps = rng.random((200, 3)) < 0.5
    errors[gaps] = baseline[gaps] = np.nan
    report = relative_gain_report(errors, baseline, random_state=0)
    means = np.nanmean(errors, axis=0), np.nanmean(baseline, axis=0)
    assert_allclose(report.gain, relative_gain(*means, higher_is_better=False))
    for t in range(3):
        d = (errors - baseline)[~gaps[:, t], t]
        assert_allclose(report.standard_error[t], d.std(ddof=1) / np.sqrt(len(d)))
    assert report.interval[0] < report.gain < report.interval[1]
    assert (report.task_interval[:, 0] < report.task_gain).all()


def test_bootstrap_is_the_slow_one(rng):
    """Rows drawn with replacement, the same for both models and all tasks."""
    baseline, errors = rng.random((2, 30, 2))
    report = relative_gain_report(errors, baseline, n_resamples=300, random_state=3)
    seed = np.random.RandomState(3).randint(2**31)
    again = np.random.default_rng(seed)
    gains = []
    for _ in range(300):
        rows = again.integers(30, size=30)
        m, b = errors[rows].mean(axis=0), baseline[rows].mean(axis=0)
        gains.append(100 * (1 - m / b))
    assert_allclose(report.interval, np.quantile(np.mean(gains, axis=1), [0.025, 0.975]))
    assert_allclose(report.task_interval, np.quantile(gains, [0.025, 0.975], axis=0).T)


def test_interval_covers_the_true_gain():
    """At 90%: of 200 data sets whose true gain is 10%, between 82% and 97% cover it."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        baseline = rng.normal(1.0, 0.1, (40, 3))
        errors = 0.9 * rng.normal(1.0, 0.1, (40, 3))
        options = {"confidence_level": 0.9, "n_resamples": 200, "random_state": seed}
        low, high = relative_gain_report(errors, baseline, **options).interval
        covered += low <= 10 <= high
    assert 164 <= covered <= 194


def test_task_of_one_unit_is_not_judged():
    report = relative_gain_report([[0.5, 0.9]], [[0.5, 0.3]], n_resamples=5)
    assert np.isnan(report.standard_error).all()
    assert report.n_beyond == 0 == report.n_by_chance and not report.harmed.any()


@pytest.mark.parametrize(
    "errors, baseline, options, message",
    [
        ([0.1], [0.2], {}, "must have one shape"),
        ([[0.1, np.nan]], [[0.1, 0.2]], {}, "NaN in the same places"),
        ([[-0.1]], [[0.1]], {}, "errors must be finite and 0 or more"),
        ([[0.1]], [[np.inf]], {}, "baseline must be finite"),
        ([[0.1]], [[0.0]], {}, "whose error is not zero"),
        ([[0.1, np.nan]], [[0.1, np.nan]], {}, "tasks .1. have not"),
        ([[0.1]], [[0.1]], {"n_resamples": 0}, "n_resamples must be"),
        ([[0.1]], [[0.1]], {"confidence_level": 95}, "confidence_level must be"),
    ],
)
def test_errors(errors, baseline, options, message):
    with pytest.raises(ValueError, match=message):
        relative_gain_report(errors, baseline, **options)


def test_what_are_no_numbers():
    masked, dates = np.ma.masked_equal(np.eye(2), 0), np.eye(2).astype("M8[D]")
    for bad in (masked, dates, [[1], [2, 3]], {}, "a", 1j * np.eye(2)):
        with pytest.raises(ValueError, match="scores"):
            relative_gain(bad, np.ones((2, 2)))
        with pytest.raises(ValueError, match="baseline"):
            relative_gain_report(np.ones((2, 2)), bad)
        with pytest.raises(ValueError, match="affinity"):
            task_groups(bad)
