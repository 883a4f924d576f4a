"""MultiTaskSAERegressor: X -> one number per task, through one shared sparse code."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score

from skmtl import _validation
from skmtl._arrays import check_same_rows
from skmtl._data import units_of
from skmtl._multitask import MatrixLike, MultiTaskSAE
from skmtl._ridge import best_ridge_strength, fit_ridge
from skmtl._sklearn import fit_context, with_callbacks
from skmtl._targets import TaskTargets, check_names
from skmtl._warn import warn

Targets = Any
#: Weights of the heads: attributes in the units of the targets, and parameters in those of the fit.
COEFS = {"task_coef_": "W_head", "task_private_coef_": "W_head_own", "task_skip_coef_": "W_skip"}


class MultiTaskSAERegressor(RegressorMixin, MultiTaskSAE):
    """One sparse code shared by several regression tasks, and a linear head for each.

    First the code learns to reconstruct all rows, those without any target too
    (``pretrain_iter`` epochs); then code and heads are trained together on reconstruction,
    sparsity and the mean of the task losses. A task's loss is the squared error over the variance
    of its training targets, so that tasks in different units weigh alike. Targets may be missing
    anywhere. Read more in the user guide.

    Parameters
    ----------
    n_components : int, default=64
        Number of latents, the width of the shared code.
    sparsifier : {"auto", "topk", "batch_topk", "l1", "kl", "jumprelu", "gated", \
            "winner_take_all", "softmax"}, sparsifier or None, default="auto"
        How the code is made sparse: a name, an instance such as ``TopK(k=16)``, or None for a
        plain relu. "auto" is "softmax" with the mixture loss, else "topk".
    loss : {"squared_error", "log_loss", "mixture"} or loss, default="squared_error"
        Reconstruction loss and with it the decoder's link; "log_loss" needs X in [0, 1].
    optimizer : {"adam", "adamw", "sgd"} or optimizer, default="adam"
        A name, or an instance with its own constants.
    learning_rate : float, default=0.001
        The one place where the rate is set.
    schedule : {"constant", "linear_decay", "warmup_cosine"}, default="constant"
        The rate over the fit, in fractions of ``max_iter`` epochs. Pretraining is at a constant
        rate.
    batch_size : int, default=256
        Rows per step. With no more rows than this, every step sees all of them.
    max_iter : int, default=200
        Maximum number of epochs of joint training.
    tol : float or None, default=1e-4
        Training stops when the watched loss has not improved by ``tol`` for ``n_iter_no_change``
        epochs. None never stops early.
    n_iter_no_change : int, default=10
        Epochs without improvement before training stops.
    early_stopping : bool, default=False
        Watch the mean task loss of held-out rows instead of the training loss, and restore the
        best parameters at the end.
    validation_fraction : float, default=0.1
        Share of the rows held out, every task's targets in proportion, when ``early_stopping`` is
        set and no ``X_val`` is given.
    warm_start : bool, default=False
        Let ``fit`` go on from the last fit for up to ``max_iter`` more epochs, without
        pretraining. The tasks must be the same; their units stay.
    random_state : int, RandomState instance or None, default=None
        Initial atoms, order of the rows, held-out rows. An int gives the same bits in every fit,
        for any ``n_jobs``.
    verbose : int or bool, default=0
        Print the loss of each epoch.
    n_jobs : int or None, default=None
        Threads of ``fit``, ``predict`` and their kin; as in joblib, None is 1. Results have the
        same bits for any number.
    decoder_norm : {"unit"} or None, default="unit"
        Keep the rows of ``components_`` at unit norm; ignored by the mixture loss.
    bias_init : {"mean", "geometric_median", "zero"}, default="mean"
        Where the decoder's bias starts.
    weight_decay : float, default=0.0
        ``weight_decay / 2`` times the sum of squares of the weight matrices, those of the heads
        included, is added to the loss.
    input_dropout : float, default=0.0
        Share of the entries of X that are set to zero in each training step, in [0, 1). What is
        reconstructed is X as it was: a denoising autoencoder.
    nested_sizes : sequence of int or None, default=None
        Matryoshka: ascending numbers of latents. Each such prefix, and all latents together, must
        reconstruct X alone; the loss is the mean over them. Early latents become the more general
        ones.
    dead_latents : {"auto", "aux_k", "resample", "ignore"} or instance, default="auto"
        What is done for latents that stopped firing, see `skmtl.dead_latents`. "auto" is
        "ignore" for "winner_take_all", "kl", "softmax" and None, else "resample".
    tied : bool, default=False
        Encode with the decoder's own weights; ``encoder_components_`` is then ``components_``.
    transform_algorithm : {"encoder", "refine"}, default="encoder"
        "refine" keeps the latents that the encoder chose for a row and gives them the amplitudes,
        0 or more, that reconstruct the row best. Only with "squared_error".
    sparse_output : bool, default=False
        Return CSR arrays from ``transform``.
    checkpoint : str, path-like, Checkpoint or None, default=None
        Where ``fit`` keeps snapshots of itself, to go on from after an interruption: see
        `skmtl.Checkpoint`.
    reconstruction_weight : float, default=1.0
        Weight of reconstruction and sparsity beside the mean task loss. The reconstruction is
        measured in units of what the best constant reconstruction loses, so 1 means as much as
        a task. 0 trains on the tasks alone after pretraining.
    pretrain_iter : int, default=0
        Epochs of reconstruction alone, on all rows, before the joint training.
    balancer : {"equal", "entropy", "log", "uncertainty", "dwa", "gradnorm", "famo", "pcgrad", \
            "mgda", "cagrad", "imtl", "nash", "aligned", "upgrad", "dual_proj"} or balancer, \
            default="equal"
        How the task losses are combined, see `skmtl.balancers`. "equal": each task's loss is the
        mean over its own labels, and all tasks weigh the same. A balancer's weights reach the
        shared code; each head takes the gradient of its own loss.
    batching : {"shuffled", "task_balanced"}, default="shuffled"
        "task_balanced" deals the rows out so that every batch holds its share of each task's
        labels: for tasks that bring rows of their own. Every row still comes once an epoch.
    task_weights : array-like of shape (n_tasks,), dict or None, default=None
        Fixed factors of the weights that the balancer gives the tasks, 0 or more; a dict is by
        name of the task, by its number where y has no names, and 1 for those left out. From a task
        of weight 0 the shared code does not learn; its head does.
    compute_affinity : bool, default=False
        Compute ``affinity_``, which the balancers from "gradnorm" on (but "famo") do anyway.
    n_private_components : int, default=0
        Latents of each task's own, beside the ``n_components`` shared ones: only its head reads
        them, and in training they fire only on rows with a label of that task. ``transform``
        returns the shared latents.
    k_private : int or None, default=None
        Of a task's private latents, how many may fire on a row; None is all that are positive.
    coactivation_penalty : float, default=0.0
        Weight of the squared mean products of shared with private latents, in units of the square
        of what the best constant reconstruction loses: private latents are kept from repeating
        what shared ones say.
    pretrained_penalty : float, default=0.0
        ``pretrained_penalty / 2`` times the squared distance of encoder and decoder from where
        pretraining left them is added to the loss of the joint training. Needs ``pretrain_iter``;
        of no effect where a model was never pretrained (a first ``partial_fit``).
    skip_connection : bool, default=False
        Heads also read X itself: what is linear in X need not pass through the code.
    head_dropout : float, default=0.0
        Share of the code's latents that the heads do not see in a training step, in [0, 1). The
        others are scaled up; the reconstruction reads the whole code.
    head_penalty : {"l2", "group", "mean"}, penalty or None, default=None
        What keeps the heads small ("l2"), reading few latents ("group") or alike ("mean"), see
        `skmtl.head_penalties`; reaches the weights on X too. It is applied after each step and is
        no part of ``loss_curve_``.
    head_selection : {"shared", "cv"}, default="shared"
        "cv" guards against negative transfer: after the fit each task gets the best of its trained
        head, a linear model on X, and one on code and X, by its loss on held-out rows. For that
        the whole model is fitted three times more, each time to two thirds of the rows; a task with
        fewer than three labels of a class, or fewer than six numbers, keeps its trained head.
        ``partial_fit`` and ``warm_start`` train the chosen heads on, and ``head_selection_`` goes
        with the first ``partial_fit``. Of an ensemble the first member is judged, for all.
    n_members : int, default=1
        Members of an ensemble: models trained one after another on the same rows, each from its
        own random start, whose probabilities (or numbers) are averaged. What else is published
        (``components_``, ``transform``, heads, curves) is the first member's. Time and memory grow
        with their number.

    Attributes
    ----------
    n_outputs_ : int
        Number of tasks.
    task_names_in_ : ndarray of shape (n_tasks,)
        Names of the tasks, where y had column names.
    task_coef_ : ndarray of shape (n_tasks, n_components)
        Weights of each task's head on the code, in the units of its targets; NaN for a task
        without any target.
    task_intercept_ : ndarray of shape (n_tasks,)
        Intercept of each task's head.
    task_private_coef_ : ndarray of shape (n_tasks, n_private_components)
        Weights of each task's head on its private latents, where there are some.
    task_skip_coef_ : ndarray of shape (n_tasks, n_features)
        Weights of each task's head on X, with ``skip_connection``.
    target_mean_ : ndarray of shape (n_tasks,)
        Weighted mean of each task's training targets, where its head starts.
    target_scale_ : ndarray of shape (n_tasks,)
        Their standard deviation, in which the task's loss is measured; 1 where they are all equal.
    task_map_ : ndarray of bool, of shape (n_latents, n_outputs)
        Which latents each task's head reads: those with a weight that is not zero.
    components_ : ndarray of shape (n_latents, n_features)
        Decoder weights; row j is the atom of latent j. After the ``n_components`` shared latents
        come the ``n_private_components`` of each task, in the order of the tasks.
    encoder_components_ : ndarray of shape (n_latents, n_features)
        Encoder weights.
    encoder_bias_ : ndarray of shape (n_latents,)
        Encoder bias.
    decoder_bias_ : ndarray of shape (n_features,)
        Decoder bias, on the scale of the loss's link.
    affinity_ : ndarray of shape (n_tasks, n_tasks)
        Mean over the training of the cosine of each two tasks' gradients in the encoder's weights,
        averaged over batches; NaN for a task without any. With ``compute_affinity`` or a balancer
        that needs the gradients.
    firing_rate_ : ndarray of shape (n_components,)
        Weighted share of the training rows on which each latent was not zero in the last epoch
        of training (with ``early_stopping`` that of the parameters restored), counted in passing.
    head_selection_ : ndarray of shape (n_tasks,)
        With ``head_selection="cv"`` what was chosen for each task: "shared", "raw" or "both".
    pretrain_loss_curve_ : list of float
        Mean loss of each epoch of pretraining.
    loss_curve_ : list of float
        Mean loss of each epoch of joint training.
    validation_loss_curve_ : list of float
        Mean task loss over the held-out rows after each epoch; empty without any.
    n_iter_ : int
        Epochs of joint training run by the last call of ``fit`` or ``partial_fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X had string column names.

    See Also
    --------
    MultiTaskSAEClassifier : The same for labels.
    SparseAutoencoderTransformer : The code alone.
    sklearn.multioutput.MultiOutputRegressor : One model per task, no gaps allowed.

    Notes
    -----
    A 1-D y behaves as with any scikit-learn regressor. For a y with gaps give cross-validation a
    splitter object such as ``KFold(5)``; an integer ``cv`` makes scikit-learn look into y itself,
    which it refuses with NaN.

    Time per epoch grows linearly with rows, features, latents and tasks; where few targets are
    there, with their number instead of rows times tasks.

    References
    ----------
    Caruana, "Multitask Learning", Machine Learning 28, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskSAERegressor
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> X, Y = scale(X), Y.copy()
    >>> Y[::4, 0] = np.nan  # gaps anywhere
    >>> reg = MultiTaskSAERegressor(
    ...     16, learning_rate=0.01, max_iter=300, tol=None, random_state=0).fit(X, Y)
    >>> reg.predict(X).shape, reg.target_mean_.round(1)
    ((20, 3), array([179.1,  35.4,  56.1]))
    >>> reg.score(X, Y) > 0.5
    True
    """

    _head = "squared_error"

    @_validation.transactional
    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: Targets,
        sample_weight: ArrayLike | None = None,
        task_mask: ArrayLike | None = None,
        X_val: MatrixLike | None = None,
        y_val: Targets | None = None,
    ) -> Self:
        """Learn the shared code and the heads.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows, float32 or float64 kept. Rows without any target train the code.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Real targets in any units; arrays, lists, pandas or polars. NaN, None and pd.NA are
            gaps.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row, or of each target (then all rows train the code alike).
        task_mask : array-like of bool, of y's shape, default=None
            True where a target counts; the others are treated as gaps.
        X_val : array-like of shape (n_validation, n_features), default=None
            Rows whose mean task loss is recorded after each epoch, and watched with
            ``early_stopping``.
        y_val : array-like of shape (n_validation,) or (n_validation, n_tasks), default=None
            Their targets.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            If y has no target at all, or holds infinity or what is no real number; if X or the
            weights are not valid; if the loss becomes NaN or infinite.
        """
        problem = self._set_up(
            X, y, sample_weight, task_mask, validation=(X_val, y_val), goes_on=self.warm_start
        )
        return self._train(problem)

    @_validation.transactional
    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: MatrixLike,
        y: Targets,
        sample_weight: ArrayLike | None = None,
        task_mask: ArrayLike | None = None,
    ) -> Self:
        """Run one epoch over X, going on from what was learnt so far; no pretraining.

        Weights and the reconstruction are measured by their means in the first call, a task's
        targets by mean and deviation in the first call that has some: make it a representative
        chunk.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets, gaps allowed.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or target.
        task_mask : array-like of bool, of y's shape, default=None
            True where a target counts.

        Returns
        -------
        self : object
            The regressor.

        Raises
        ------
        ValueError
            If the tasks are not those of the first call, or ``early_stopping`` is set.
        """
        _validation.refuse_early_stopping(self)
        problem = self._set_up(
            X, y, sample_weight, task_mask, goes_on=True, streamed=True, declared=True
        )
        return self._train(problem, max_iter=1)

    @_validation.transactional
    def add_task(
        self,
        X: MatrixLike,
        y: Targets,
        name: str | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Add a head for one more task on the code as it is.

        The head is a ridge regression on what the other heads read, shared code and, with
        ``skip_connection``, X, with its strength chosen by cross-validation. Code and other heads
        stay as they are: predictions for the tasks there were keep their bits.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows of the new task; few are enough.
        y : array-like of shape (n_samples,)
            Its targets; rows with a gap are left out.
        name : str, default=None
            Its name in ``task_names_in_``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        self : object
            The regressor, with one task more. A one-dimensional y has become the first of two.

        Raises
        ------
        ValueError
            If y is not one-dimensional or has no target that counts; if a task of that name is
            there.

        Notes
        -----
        ``partial_fit`` and ``warm_start`` then expect a y of all tasks and train all heads and the
        code; the balancer starts anew. The added task has no private latents, and NaN in
        ``affinity_``.
        """
        X = self._check_rows(X)
        added, (codes, values) = TaskTargets.learn(y)
        taken = self._targets.names or []
        check_same_rows(X, codes)
        weight, _ = _validation.check_weight(sample_weight, X)
        held = (codes[:, 0] >= 0) & (weight > 0)
        if added.n_tasks != 1 or not held.any() or name in taken:
            raise ValueError(
                "add_task needs a y of one task with at least one target that counts and a name "
                f"that is not taken; got {added.n_tasks} task(s), {np.sum(held)} such target(s) "
                f"in the first, name={name!r} beside {taken}. Call it once for each task."
            )
        values, weight = values[held, 0], weight[held]
        mean, unit = (part[0] for part in units_of(values[:, None], weight[:, None]))
        target = (values - mean) / unit

        def fit_head(R):
            return fit_ridge(R, target, weight, 1, best_ridge_strength(R, target, weight))

        scale = {"label_weight": 0, "target_mean": mean, "target_scale": unit}
        return self._add_head(X[held], fit_head, self._targets.with_task(name), np.ones(1), scale)

    def _learn_targets(self, y, task_mask, goes_on, declared):
        """Which tasks there are, and their targets; the fitted tasks where the fit goes on."""
        if goes_on:
            check_names(y, self._targets)
            check_names(task_mask, self._targets, "task_mask")
        targets, entries = TaskTargets.learn(y, task_mask, declared)
        if goes_on:
            fitted = self._targets
            same = (targets.one_d, targets.n_tasks) == (fitted.one_d, fitted.n_tasks)
            if not same or (entries.codes >= 0)[:, ~fitted.known].any():
                raise ValueError(
                    f"The tasks of y must be those of the first fit, {np.sum(fitted.known)} of "
                    f"{fitted.n_tasks} with targets in {fitted.shape}; got "
                    f"{np.sum(targets.known)} of {targets.n_tasks} in {targets.shape}. Fit a new "
                    "estimator."
                )
            return fitted, entries
        for t in np.flatnonzero(~targets.known):
            warn(f"Task {targets.name(int(t))!r} has no target at all: its predictions are NaN.")
        return targets, entries

    def _leave_weightless(self, targets, rows):
        """A task whose targets all weigh nothing is one without targets."""
        weightless = targets.known & ~rows.label_weight.any(axis=0)
        for t in np.flatnonzero(weightless):
            warn(
                f"Task {targets.name(int(t))!r} has no target whose weight is above zero: its "
                "predictions are NaN."
            )
        targets.known = targets.known & ~weightless
        return rows._replace(codes=np.where(weightless, -1, rows.codes))

    def _target_attributes(self, params, targets, scale):
        seen = scale["target_scale"] > 0
        mean = np.where(seen, scale["target_mean"], np.nan)
        unit = np.where(seen, scale["target_scale"], np.nan)

        def by_task(array):
            out = np.full((targets.n_tasks, *array.shape[1:]), np.nan)
            out[targets.known] = array
            return (out.T * unit).T

        coefs = {name: by_task(params[W]) for name, W in COEFS.items() if W in params}
        return {
            **coefs,
            "task_intercept_": by_task(params["b_head"]) + mean,
            "target_mean_": mean,
            "target_scale_": unit,
        }

    # --- after the fit ----------------------------------------------------------------------

    def predict(self, X: MatrixLike) -> np.ndarray:
        """Target of each task.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            In y's own shape and units, float64; NaN for a task without any target.
        """
        return self._predict(self._check_rows(X))

    def _predict(self, X):
        return self._targets.decode(self._scores(X), self.target_mean_, self.target_scale_)

    def score(self, X: MatrixLike, y: Targets, sample_weight: ArrayLike | None = None) -> float:
        """Mean over tasks of R2, the share of variance explained, on the targets that are there.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to judge.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            True targets; gaps are left out, tasks without a target here too.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or target.

        Returns
        -------
        score : float
            At most 1, and 0 for predicting the mean. A task of which ``fit`` saw no target
            counts 0. NaN where each task has but one target here.
        """
        X = self._check_rows(X)
        codes, values = self._targets.entries(y, allow_unknown=True)
        check_same_rows(X, codes)
        check_names(sample_weight, self._targets, "sample_weight")
        _, weight = _validation.check_entry_weight(sample_weight, X, codes >= 0)
        if not weight.any():
            raise ValueError("y must hold at least one target to score; got only missing values.")
        predicted = self._predict(X).reshape(codes.shape)
        with np.errstate(over="ignore"):  # R2 of what is far off is minus infinity
            return _mean_r2(values, predicted, weight)


def _mean_r2(true, predicted, weight):
    """Mean over the tasks with two targets or more, all three (n, n_tasks); NaN without any."""
    scores = []
    for y, p, w in zip(true.T, predicted.T, weight.T, strict=True):
        counts = w > 0
        if np.count_nonzero(counts) > 1:
            nothing_learnt = np.isnan(p).any()
            r2 = 0.0 if nothing_learnt else r2_score(y[counts], p[counts], sample_weight=w[counts])
            scores.append(r2)
    if scores:
        return float(np.mean(scores))
    warn("R2 needs two targets of some task.", UndefinedMetricWarning)
    return float("nan")
