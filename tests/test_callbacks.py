"""Progress: scikit-learn's callbacks, alone and nested, and verbose."""

import numpy as np
import pytest
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskSAEClassifier, SparseAutoencoderTransformer
from skmtl.metrics import l0
from skmtl.model_selection import MultiTaskKFold
from tests.test_transformer import QuantileThreshold


class Recorder:
    """Notes every hook; stops the fit after ``stop_at`` epochs."""

    def __init__(self, stop_at=None):
        self.stop_at, self.events, self.losses = stop_at, [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.events.append(("end", context.task_name))
        if context.task_name == "epoch":
            self.losses.append(fitted_estimator.score(X, y))
            return len(self.losses) == self.stop_at


@pytest.fixture
def models(digits):
    X, Y = digits
    common = {"max_iter": 6, "tol": None, "random_state": 0, "learning_rate": 0.01}
    return (
        X,
        Y,
        [
            SparseAutoencoderTransformer(12, **common),
            MultiTaskSAEClassifier(12, pretrain_iter=2, **common),
        ],
    )


def test_callbacks_see_every_epoch_and_a_usable_model(models):
    X, Y, estimators = models
    for model in estimators:
        recorder = Recorder()
        model.set_callbacks(recorder).fit(X, Y)
        assert recorder.events[0] == "setup" and recorder.events[-1] == "teardown"
        assert recorder.events.count(("end", "epoch")) == 6
        assert recorder.events.count(("begin", "fit")) == 1
        assert recorder.losses[-1] > recorder.losses[0]
        assert recorder.losses[-1] == pytest.approx(model.score(X, Y))
        if isinstance(model, MultiTaskSAEClassifier):
            assert recorder.events.count(("end", "pretraining epoch")) == 2


def test_callbacks_can_stop(models):
    X, Y, estimators = models
    for model in estimators:
        model.set_callbacks(Recorder(stop_at=3)).fit(X, Y)
        assert model.n_iter_ == 3


def test_progress_bar_alone_and_nested(models, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    X, Y, (_, clf) = models
    pytest.importorskip("rich")
    clf.set_callbacks(ProgressBar()).fit(X, Y)
    assert "MultiTaskSAEClassifier" in capsys.readouterr().out
    nested = GridSearchCV(
        make_pipeline(StandardScaler(), MultiTaskSAEClassifier(8, max_iter=3, tol=None)),
        {"multitasksaeclassifier__learning_rate": [1e-3, 1e-2]},
        cv=MultiTaskKFold(2),
    )
    nested.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, Y)
    printed = capsys.readouterr().out
    assert "GridSearchCV" in printed and "MultiTaskSAEClassifier" in printed


def test_scoring_monitor(models):
    X, Y, (_, clf) = models
    monitor = ScoringMonitor(scoring=lambda est, X, y: {"accuracy": est.score(X, y)})
    clf.set_callbacks(monitor).fit(X, Y)
    logged = monitor.get_logs()
    assert logged is not None


def test_verbose_prints_each_epoch(models, capsys):
    X, Y, (sae, clf) = models
    sae.set_params(verbose=1).fit(X, X_val=X[:50])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("[SparseAutoencoderTransformer] epoch 1: loss ")
    assert "validation loss" in lines[5]
    clf.set_params(verbose=True).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8 and "pretraining epoch 2" in lines[1]
    clf.set_params(verbose=0).fit(X, Y)
    assert capsys.readouterr().out == ""


def test_callbacks_survive_clone_and_cost_nothing_when_absent(models):
    from sklearn.base import clone

    X, Y, estimators = models
    for model in estimators:
        recorder = Recorder()
        clone(model.set_callbacks(recorder)).fit(X, Y)
        assert np.count_nonzero([e == ("end", "epoch") for e in recorder.events]) == 6


def test_callbacks_see_a_model_whose_inference_is_set(digits):
    """A sparsifier that freezes a threshold does so for what callbacks look at, too."""
    seen = []

    class Threshold(Recorder):
        def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
            if context.task_name == "epoch":
                seen.append(l0(fitted_estimator.transform(X)))

    SparseAutoencoderTransformer(
        24, sparsifier=QuantileThreshold(k=3), max_iter=3, tol=None, random_state=0
    ).set_callbacks(Threshold()).fit(digits[0])
    np.testing.assert_allclose(seen, 3)
