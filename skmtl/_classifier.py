"""MultiTaskSAEClassifier: X -> one label per task, through one shared sparse code."""

from itertools import pairwise
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmtl import _validation
from skmtl._arrays import check_same_rows
from skmtl._class_weight import class_weights
from skmtl._logistic import best_strength, fit_logistic
from skmtl._multitask import MatrixLike, MultiTaskSAE
from skmtl._sklearn import StrOptions, fit_context, with_callbacks
from skmtl._softmax_heads import softmax_by_task
from skmtl._targets import Entries, TaskLabels, check_names
from skmtl._task_estimator import TaskClassifier
from skmtl._warn import warn

Labels = Any


def _one_d(estimator):
    return not hasattr(estimator, "_targets") or estimator._targets.one_d


class MultiTaskSAEClassifier(ClassifierMixin, MultiTaskSAE):
    """One sparse code shared by several classification tasks, and a softmax head for each.

    First the code learns to reconstruct all rows, those without any label too
    (``pretrain_iter`` epochs); then code and heads are trained together on reconstruction,
    sparsity and the mean of the task losses. Labels may be missing anywhere. Read more in the
    user guide.

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
        Share of the rows held out, every task's classes in proportion, when ``early_stopping`` is
        set and no ``X_val`` is given.
    warm_start : bool, default=False
        Let ``fit`` go on from the last fit for up to ``max_iter`` more epochs, without
        pretraining. The classes must be the same.
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
    class_weight : dict, "balanced", list or None, default=None
        Weight of the classes: a dict from label to weight, "balanced" (on each task's observed
        labels, as they are weighted), or one of these per task: a list, or a dict by task name.
    missing_label : scalar or None, default=None
        A value of y that also means "no label here", such as -1. NaN, None and pd.NA always do.

    Attributes
    ----------
    classes_ : ndarray, or list of ndarray
        Sorted classes; a list with one array per task where y was two-dimensional.
    n_outputs_ : int
        Number of tasks.
    task_names_in_ : ndarray of shape (n_tasks,)
        Names of the tasks, where y had column names.
    task_coef_ : list of ndarray of shape (n_classes_t, n_components)
        Weights of each task's head on the code.
    task_intercept_ : list of ndarray of shape (n_classes_t,)
        Intercepts of each task's head.
    task_private_coef_ : list of ndarray of shape (n_classes_t, n_private_components)
        Weights of each task's head on its private latents, where there are some.
    task_skip_coef_ : list of ndarray of shape (n_classes_t, n_features)
        Weights of each task's head on X, with ``skip_connection``.
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
    SparseAutoencoderTransformer : The code alone.
    sklearn.multioutput.MultiOutputClassifier : One model per task, no gaps allowed.

    Notes
    -----
    A 1-D y behaves as with any scikit-learn classifier. For a 2-D y with gaps give
    cross-validation a splitter object such as `skmtl.model_selection.MultiTaskKFold`; an integer
    ``cv`` makes scikit-learn look into y itself, which it does not understand with gaps.

    Time per epoch grows linearly with rows, features, latents and the total number of classes.

    References
    ----------
    Caruana, "Multitask Learning", Machine Learning 28, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skmtl import MultiTaskSAEClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> Y = np.column_stack([digit, digit % 2]).astype(float)
    >>> Y[::3, 0] = np.nan  # gaps anywhere
    >>> clf = MultiTaskSAEClassifier(
    ...     learning_rate=0.01, max_iter=20, tol=None, random_state=0).fit(X / 16, Y)
    >>> clf.n_outputs_, clf.predict(X / 16).shape
    (2, (1797, 2))
    >>> clf.score(X / 16, Y) > 0.9
    True
    """

    _head = "softmax"
    _parameter_constraints = {
        **MultiTaskSAE._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "missing_label": "no_validation",
    }

    _state: dict

    def __init__(
        self,
        n_components: int = 64,
        *,
        sparsifier: Any = "auto",
        loss: Any = "squared_error",
        optimizer: Any = "adam",
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        batch_size: int = 256,
        max_iter: int = 200,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int | bool = 0,
        n_jobs: int | None = None,
        decoder_norm: str | None = "unit",
        bias_init: str = "mean",
        weight_decay: float = 0.0,
        input_dropout: float = 0.0,
        nested_sizes: ArrayLike | None = None,
        dead_latents: Any = "auto",
        tied: bool = False,
        transform_algorithm: str = "encoder",
        sparse_output: bool = False,
        checkpoint: Any = None,
        reconstruction_weight: float = 1.0,
        pretrain_iter: int = 0,
        balancer: Any = "equal",
        batching: str = "shuffled",
        task_weights: Any = None,
        compute_affinity: bool = False,
        n_private_components: int = 0,
        k_private: int | None = None,
        coactivation_penalty: float = 0.0,
        pretrained_penalty: float = 0.0,
        skip_connection: bool = False,
        head_dropout: float = 0.0,
        head_penalty: Any = None,
        head_selection: str = "shared",
        n_members: int = 1,
        class_weight: dict | str | list | None = None,
        missing_label: Any = None,
    ) -> None:
        super().__init__(
            n_components,
            sparsifier=sparsifier,
            loss=loss,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
            n_jobs=n_jobs,
            decoder_norm=decoder_norm,
            bias_init=bias_init,
            weight_decay=weight_decay,
            input_dropout=input_dropout,
            nested_sizes=nested_sizes,
            dead_latents=dead_latents,
            tied=tied,
            transform_algorithm=transform_algorithm,
            sparse_output=sparse_output,
            checkpoint=checkpoint,
            reconstruction_weight=reconstruction_weight,
            pretrain_iter=pretrain_iter,
            balancer=balancer,
            batching=batching,
            task_weights=task_weights,
            compute_affinity=compute_affinity,
            n_private_components=n_private_components,
            k_private=k_private,
            coactivation_penalty=coactivation_penalty,
            pretrained_penalty=pretrained_penalty,
            skip_connection=skip_connection,
            head_dropout=head_dropout,
            head_penalty=head_penalty,
            head_selection=head_selection,
            n_members=n_members,
        )
        self.class_weight = class_weight
        self.missing_label = missing_label

    @_validation.transactional
    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: Labels,
        sample_weight: ArrayLike | None = None,
        task_mask: ArrayLike | None = None,
        X_val: MatrixLike | None = None,
        y_val: Labels | None = None,
    ) -> Self:
        """Learn the shared code and the heads.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows, float32 or float64 kept. Rows without any label train the code.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels: integers, bools or strings, of one type within a task; arrays, lists, pandas
            or polars. NaN, None, pd.NA and ``missing_label`` are gaps.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row, or of each label (then all rows train the code alike).
        task_mask : array-like of bool, of y's shape, default=None
            True where a label counts; the others are treated as gaps.
        X_val : array-like of shape (n_validation, n_features), default=None
            Rows whose mean task loss is recorded after each epoch, and watched with
            ``early_stopping``.
        y_val : array-like of shape (n_validation,) or (n_validation, n_tasks), default=None
            Their labels.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If y has no label at all, mixes types within a task or holds infinity or continuous
            values; if X or the weights are not valid; if the loss becomes NaN or infinite.
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
        y: Labels,
        classes: Any = None,
        sample_weight: ArrayLike | None = None,
        task_mask: ArrayLike | None = None,
    ) -> Self:
        """Run one epoch over X, going on from what was learnt so far; no pretraining.

        Weights and the reconstruction are measured by their means in the first call, a task's
        labels in the first call that has some: make it a representative chunk.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels, gaps allowed.
        classes : array-like, or list of array-like, default=None
            All classes, one list per task; a flat list is taken for every task. Needed at the
            first call, since later rows may bring classes that the first ones lack.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or label.
        task_mask : array-like of bool, of y's shape, default=None
            True where a label counts.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        ValueError
            If ``classes`` is missing at the first call, differs from it later, or
            ``early_stopping`` is set.
        """
        _validation.refuse_early_stopping(self)
        if classes is None and not self.__sklearn_is_fitted__():
            raise ValueError(
                "classes must be passed on the first call to partial_fit: one list per task, of "
                "all classes that may ever come."
            )
        problem = self._set_up(
            X, y, sample_weight, task_mask, goes_on=True, streamed=True, declared=classes
        )
        return self._train(problem, max_iter=1)

    @_validation.transactional
    def add_task(
        self,
        X: MatrixLike,
        y: Labels,
        name: str | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Add a head for one more task on the code as it is.

        The head is a logistic regression on what the other heads read, shared code and, with
        ``skip_connection``, X, with its strength chosen by cross-validation. Code and other heads
        stay as they are: predictions for the tasks there were keep their bits.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows of the new task; few are enough.
        y : array-like of shape (n_samples,)
            Its labels, of two classes or more; rows with a gap are left out.
        name : str, default=None
            Its name in ``task_names_in_``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        self : object
            The classifier, with one task more. A one-dimensional y has become the first of two.

        Raises
        ------
        ValueError
            If y is not one-dimensional, has fewer than two classes or no label that counts; if a
            task of that name is there.

        Notes
        -----
        ``class_weight`` counts if it is "balanced". ``partial_fit`` and ``warm_start`` then expect
        a y of all tasks and train all heads and the code; the balancer starts anew. The added task
        has no private latents, and NaN in ``affinity_``.
        """
        X = self._check_rows(X)
        added, codes = TaskLabels.learn(y, self.missing_label)
        known = self._targets.names or []
        check_same_rows(X, codes)
        weight, _ = _validation.check_weight(sample_weight, X)
        held = (codes[:, 0] >= 0) & (weight > 0)
        if added.n_tasks != 1 or len(added.classes[0]) < 2 or not held.any() or name in known:
            raise ValueError(
                "add_task needs a y of one task with at least two classes, a label that counts and "
                f"a name that is not taken; got {added.n_tasks} task(s), {len(added.classes[0])} "
                f"class(es) and {np.sum(held)} such label(s) in the first, name={name!r} beside "
                f"{known}. Call it once for each task."
            )
        if isinstance(self.class_weight, str):
            of_entries = weight[:, None] * held[:, None]
            weight = weight * class_weights(self.class_weight, added, codes, of_entries)[:, 0]
        label, weight, n_classes = codes[held, 0], weight[held], len(added.classes[0])

        def fit_head(R):
            C = best_strength(R, label, weight, n_classes)
            return fit_logistic(R, label, weight, n_classes, C)

        targets = self._targets.with_task(added.classes[0], name)
        prior = np.bincount(label, weight) / weight.sum()
        return self._add_head(X[held], fit_head, targets, prior, {"label_weight": 0})

    def _joint(self, scores):
        """Logarithms of the members' mean probabilities."""
        for own in scores:
            softmax_by_task(own, self._targets.offsets)
        tiny = np.finfo(scores[0].dtype).tiny
        return np.log(np.maximum(super()._joint(scores), tiny))

    def _learn_targets(self, y, task_mask, goes_on, classes):
        """Classes and codes of y; the fitted classes where the fit goes on."""
        if goes_on:
            check_names(y, self._targets)
            check_names(task_mask, self._targets, "task_mask")
        labels, codes = TaskLabels.learn(
            y,
            self.missing_label,
            task_mask,
            self._targets.classes if goes_on and classes is None else classes,
        )
        if goes_on:
            pairs = zip(labels.classes, self._targets.classes, strict=False)
            same = labels.one_d == self._targets.one_d and labels.n_tasks == self._targets.n_tasks
            if not same or not all(np.array_equal(a, b) for a, b in pairs):
                raise ValueError(
                    "The tasks of y and their classes must be those of the first fit; got "
                    f"{[c.tolist() for c in labels.classes]} in {labels.shape}, not "
                    f"{[c.tolist() for c in self._targets.classes]} in {self._targets.shape}. "
                    "Fit a new estimator."
                )
            return self._targets, Entries(codes)
        for t, found in enumerate(labels.classes):
            if len(found) < 2:
                what = (
                    "no label at all: its predictions are the missing label."
                    if len(found) == 0
                    else f"one class, {found.tolist()[0]!r}: it is always predicted."
                )
                warn(f"Task {labels.name(t)!r} has {what}")
        return labels, Entries(codes)

    def _kinds(self, targets):
        """Tasks with the same classes are of one kind."""
        of_tasks = [tuple(classes.tolist()) for classes in targets.classes]
        return np.array([of_tasks.index(classes) for classes in of_tasks])

    def _entry_weight(self, targets, codes, weight):
        return class_weights(self.class_weight, targets, codes, weight)

    def _target_attributes(self, params, targets, scale):
        heads = [slice(*pair) for pair in pairwise(targets.offsets)]
        return {
            "classes_": targets.classes[0] if targets.one_d else targets.classes,
            "task_coef_": [params["W_head"][head] for head in heads],
            "task_intercept_": [params["b_head"][head] for head in heads],
        }

    # --- after the fit ----------------------------------------------------------------------

    def predict(self, X: MatrixLike) -> np.ndarray:
        """Most probable class of each task.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            In y's own shape and type; object where the types of the tasks differ, as those of int64
            and uint64 do. A task without any label gives the missing label.
        """
        scores = self._scores(self._check_rows(X))
        labels = self._targets
        return labels.decode(_argmax_by_task(scores, labels.offsets))

    def predict_proba(self, X: MatrixLike) -> np.ndarray | list[np.ndarray]:
        """Probability of each class of each task.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes), or list of such
            A list with one array per task where y was two-dimensional; columns as in
            ``classes_``.
        """
        scores = self._scores(self._check_rows(X))
        softmax_by_task(scores, self._targets.offsets)
        return self._by_task(scores)

    def predict_log_proba(self, X: MatrixLike) -> np.ndarray | list[np.ndarray]:
        """Logarithm of the probability of each class of each task.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes), or list of such
            As ``predict_proba``.
        """
        scores = self._scores(self._check_rows(X))
        for start, stop in pairwise(self._targets.offsets):
            if stop > start:  # not the logarithm of a probability, which may round to zero
                scores[:, start:stop] = log_softmax(scores[:, start:stop], axis=1)
        return self._by_task(scores)

    @available_if(_one_d)
    def decision_function(self, X: MatrixLike) -> np.ndarray:
        """Scores of the classes before the softmax; for one-dimensional y only.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            With two classes the log-odds of the second.
        """
        scores = self._scores(self._check_rows(X))
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def task_estimator(self, task: int | str) -> TaskClassifier:
        """One task as a fitted classifier of one-dimensional y.

        For calibration, thresholds, voting, stacking and displays, which know one task only. It
        is frozen: ``fit`` changes nothing and ``clone`` gives the object itself.

        Parameters
        ----------
        task : int or str
            Number of the task, or its name in ``task_names_in_``.

        Returns
        -------
        estimator : classifier
            With ``classes_``, ``predict``, ``predict_proba``, ``predict_log_proba`` and
            ``decision_function`` of the task. It keeps this object and sees its later fits.

        Raises
        ------
        ValueError
            If there is no such task, or it had no label.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.calibration import CalibratedClassifierCV
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.frozen import FrozenEstimator
        >>> from skmtl import MultiTaskSAEClassifier
        >>> X, digit = load_digits(return_X_y=True)
        >>> Y = np.column_stack([digit, digit % 2])
        >>> clf = MultiTaskSAEClassifier(8, max_iter=5, tol=None, random_state=0).fit(X, Y)
        >>> odd = FrozenEstimator(clf.task_estimator(1))
        >>> CalibratedClassifierCV(odd).fit(X, Y[:, 1]).predict_proba(X).shape
        (1797, 2)
        """
        check_is_fitted(self)
        names = list(getattr(self, "task_names_in_", ()))
        t = names.index(task) if task in names else task
        if not isinstance(t, Integral) or isinstance(t, bool) or not 0 <= t < self.n_outputs_:
            raise ValueError(
                f"task must be a number from 0 to {self.n_outputs_ - 1}"
                + (f" or one of the names {names}" if names else "")
                + f"; got {task!r}."
            )
        of_task = TaskClassifier(self, int(t))
        if not len(of_task.classes_):
            raise ValueError(f"task must have had a label in fit; task {task!r} had none.")
        return of_task

    def score(self, X: MatrixLike, y: Labels, sample_weight: ArrayLike | None = None) -> float:
        """Mean over tasks of the accuracy on labelled entries.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to judge.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            True labels; gaps are left out, tasks without a label here too.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or label.

        Returns
        -------
        score : float
            Between 0 and 1. For one-dimensional y the accuracy.
        """
        X = self._check_rows(X)
        labels = self._targets
        codes = labels.encode(y, allow_unseen=True)
        check_same_rows(X, codes)
        check_names(sample_weight, self._targets, "sample_weight")
        _, label_weight = _validation.check_entry_weight(sample_weight, X, codes != -1)
        correct = _argmax_by_task(self._scores(X), labels.offsets) == codes
        total = label_weight.sum(axis=0)
        if not total.any():
            raise ValueError("y must hold at least one label to score; got only missing values.")
        counted = total > 0
        return float(np.mean((label_weight * correct).sum(axis=0)[counted] / total[counted]))

    def _by_task(self, columns):
        if self._targets.one_d:
            return columns
        return [np.ascontiguousarray(c) for c in np.split(columns, self._targets.offsets[1:-1], 1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _argmax_by_task(scores, offsets):
    """Integer code of the highest score of each task, (n, n_tasks); -1 for a task of no classes."""
    pairs = list(pairwise(offsets))
    out = np.full((len(scores), len(pairs)), -1, dtype=np.int64)
    for t, (start, stop) in enumerate(pairs):
        if stop > start:
            out[:, t] = scores[:, start:stop].argmax(axis=1)
    return out
