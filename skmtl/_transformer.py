"""SparseAutoencoderTransformer: X -> sparse code."""

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skmtl import _data, _fitting, _linalg, _validation, _versions
from skmtl._arrays import check_matrix
from skmtl._checkpoint import journal_of
from skmtl._sklearn import CallbackSupportMixin, fit_context, with_callbacks
from skmtl._threads import map_row_blocks

MatrixLike = Any  # array-like, SciPy sparse, pandas or polars


class SparseAutoencoderTransformer(
    CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Sparse autoencoder: learns a code of X in which few latents fire on each row.

    ``code = sparsifier((X - shift) @ encoder_components_.T + encoder_bias_)`` and
    ``reconstruction = link(code @ components_ + decoder_bias_)``, trained by gradients so that the
    reconstruction is close to X. Read more in the user guide.

    Parameters
    ----------
    n_components : int, default=64
        Number of latents, the width of the code. May exceed the number of features.
    sparsifier : {"auto", "topk", "batch_topk", "l1", "kl", "jumprelu", "gated", \
            "winner_take_all", "softmax"}, sparsifier or None, default="auto"
        How the code is made sparse: a name, an instance such as ``TopK(k=16)``, or None for a
        plain relu. "auto" is "softmax" with the mixture loss, else "topk".
    loss : {"squared_error", "log_loss", "mixture"} or loss, default="squared_error"
        Reconstruction loss, and with it the decoder's link: "squared_error" (identity),
        "log_loss" (sigmoid and cross-entropy; X in [0, 1]), "mixture" (a mixture model with one
        component per latent; see `skmtl.losses.Mixture`). Losses are sums over features and means
        over rows.
    optimizer : {"adam", "adamw", "sgd"} or optimizer, default="adam"
        A name, or an instance with its own constants.
    learning_rate : float, default=0.001
        The one place where the rate is set.
    schedule : {"constant", "linear_decay", "warmup_cosine"}, default="constant"
        The rate over the fit, in fractions of ``max_iter`` epochs.
    batch_size : int, default=256
        Rows per step. With no more rows than this, every step sees all of them.
    max_iter : int, default=200
        Maximum number of epochs.
    tol : float or None, default=1e-4
        Training stops when the watched loss has not improved by ``tol`` for ``n_iter_no_change``
        epochs, in units of what the best constant reconstruction loses (the total variance of X
        for squared error). None never stops early.
    n_iter_no_change : int, default=10
        Epochs without improvement before training stops.
    early_stopping : bool, default=False
        Watch the loss of held-out rows instead of the training loss, and restore the best
        parameters at the end.
    validation_fraction : float, default=0.1
        Share of the rows held out when ``early_stopping`` is set and no ``X_val`` is given.
    warm_start : bool, default=False
        Let ``fit`` go on from the last fit, with its optimizer's state, for up to ``max_iter``
        more epochs.
    random_state : int, RandomState instance or None, default=None
        Initial atoms, order of the rows, held-out rows. An int gives the same bits in every fit,
        for any ``n_jobs``.
    verbose : int or bool, default=0
        Print the loss of each epoch.
    n_jobs : int or None, default=None
        Threads of ``fit``, ``transform`` and their kin; as in joblib, None is 1. Results have the
        same bits for any number.
    decoder_norm : {"unit"} or None, default="unit"
        Keep the rows of ``components_`` at unit norm. The mixture loss ignores it: its rows are
        means, whose norm has a meaning.
    bias_init : {"mean", "geometric_median", "zero"}, default="mean"
        Whether the decoder's bias starts where its link is the weighted mean of X, or the
        weighted geometric median, which outliers hardly move, or at zero.
    weight_decay : float, default=0.0
        ``weight_decay / 2`` times the sum of squares of the weight matrices is added to the loss;
        unit-norm atoms are left out.
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

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Decoder weights; row j is the atom of latent j.
    encoder_components_ : ndarray of shape (n_components, n_features)
        Encoder weights.
    encoder_bias_ : ndarray of shape (n_components,)
        Encoder bias.
    decoder_bias_ : ndarray of shape (n_features,)
        Decoder bias, on the scale of the loss's link.
    firing_rate_ : ndarray of shape (n_components,)
        Weighted share of the training rows on which each latent was not zero in the last epoch
        of training (with ``early_stopping`` that of the parameters restored), counted in passing.
    loss_curve_ : list of float
        Mean loss of each epoch, penalties included.
    validation_loss_curve_ : list of float
        Mean reconstruction loss over the held-out rows after each epoch; empty without any.
    n_iter_ : int
        Epochs run by the last call of ``fit`` or ``partial_fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X had string column names.

    See Also
    --------
    MultiTaskSAEClassifier : The same code, shared by several tasks.
    sklearn.decomposition.MiniBatchDictionaryLearning : Codes by optimization row by row.

    Notes
    -----
    Time per epoch grows linearly with rows and features and, for the encoder's product, with
    latents; with ``TopK`` at k below an eighth of the latents the decoder costs k a row. Memory
    beyond X is about four times the parameters plus a few batches by ``n_components``.

    References
    ----------
    Andrew Ng, "Sparse autoencoder", CS294A lecture notes, Stanford, 2011.
    Gao et al., "Scaling and evaluating sparse autoencoders", arXiv:2406.04093.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skmtl import SparseAutoencoderTransformer
    >>> X = load_digits().data / 16
    >>> sae = SparseAutoencoderTransformer(n_components=100, max_iter=5, tol=None, random_state=0)
    >>> code = sae.fit_transform(X)
    >>> code.shape, int((code != 0).sum(axis=1).max())
    ((1797, 100), 16)
    """

    _parameter_constraints = _fitting.COMMON_CONSTRAINTS

    loss_curve_: list[float]
    validation_loss_curve_: list[float]

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
    ) -> None:
        self.n_components = n_components
        self.sparsifier = sparsifier
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.decoder_norm = decoder_norm
        self.bias_init = bias_init
        self.weight_decay = weight_decay
        self.input_dropout = input_dropout
        self.nested_sizes = nested_sizes
        self.dead_latents = dead_latents
        self.tied = tied
        self.transform_algorithm = transform_algorithm
        self.sparse_output = sparse_output
        self.checkpoint = checkpoint

    @_validation.transactional
    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        X_val: MatrixLike | None = None,
    ) -> Self:
        """Learn the code of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows, float32 or float64 kept. CSR is not densified beyond a batch.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative; 2 counts a row twice, 0 leaves it out.
        X_val : array-like of shape (n_validation, n_features), default=None
            Rows whose reconstruction loss is recorded after each epoch, and watched with
            ``early_stopping``.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X has NaN, infinite or, under "log_loss", values outside [0, 1]; if weights are
            negative or all zero; if the loss becomes NaN or infinite.
        """
        return self._train(X, sample_weight, X_val, goes_on=self.warm_start)

    @_validation.transactional
    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: MatrixLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Run one epoch over X, going on from what was learnt so far.

        ``k`` calls on the same rows equal ``fit`` with ``max_iter=k`` where nothing depends on how
        much of the fit is left: a constant schedule, no annealing, no latent resampled.
        Weights are measured by their mean in the first call: make it a representative chunk.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If ``early_stopping`` is set, which has nothing to hold out here.
        """
        _validation.refuse_early_stopping(self)
        return self._train(X, sample_weight, None, goes_on=True, max_iter=1)

    def _train(self, X, sample_weight, X_val, *, goes_on, max_iter=None):
        goes_on = goes_on and self.__sklearn_is_fitted__()
        loss, sparsifier = _fitting.components(self)
        X = _validation.check_X(self, X, loss, reset=not goes_on)
        weight, _ = _validation.check_weight(sample_weight, X)
        validation = None
        if X_val is not None:
            X_val = _validation.check_X(self, X_val, loss, reset=False, name="X_val")
            validation = _data.WeightedRows(X_val, np.ones(X_val.shape[0]))
        streamed, table = max_iter is not None, _data.WeightedRows(X, weight)
        journal = journal_of(self, table, validation, goes_on=goes_on, streamed=streamed)
        draw_seed = partial(_fitting.seed_of, self, journal)
        data, validation, scale = _data.training_data(
            self,
            table,
            validation,
            loss,
            draw_seed,
            self._state["scale"] if streamed and goes_on else None,
        )
        objective = _fitting.build_objective(self, loss, sparsifier)
        unit = float(scale["unit"]) or 1.0
        if goes_on:
            params, state = _fitting.resume(self, objective)
        else:
            params, state = _fitting.start(self, objective, data, unit, draw_seed())
        state["scale"] = scale

        def attributes(params):
            return _fitting.code_attributes(params, objective)

        context = self._init_callback_context(max_subtasks=max_iter or self.max_iter)
        context.call_on_fit_task_begin(estimator=self, X=X)
        history = _fitting.train(
            self,
            objective,
            params,
            state,
            data,
            max_iter=max_iter,
            stops=not streamed,
            unit=unit,
            validation=validation,
            watch=_fitting.EpochWatch(self, context, X, None, objective, data, attributes),
            journal=journal,
        )
        _fitting.publish(self, attributes(params), state, history, goes_on)
        context.call_on_fit_task_end(estimator=self, X=X)
        return self

    def transform(self, X: MatrixLike) -> Any:
        """Sparse code of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to encode.

        Returns
        -------
        code : ndarray or sparse array of shape (n_samples, n_components)
            A row's code depends on that row alone. With the mixture loss the mixing weights
            ``alpha``, or ``p(h | x)`` where they are not amortized.
        """
        return _fitting.codes(self, self._check_rows(X))

    def inverse_transform(self, X: MatrixLike) -> np.ndarray:
        """Rows reconstructed from their codes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_components)
            Codes, as from ``transform``.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            ``link(code @ components_ + decoder_bias_)``; with the mixture loss the mean of the
            components under the code.
        """
        check_is_fitted(self)
        code = check_matrix(X, "X", accept_sparse="csr", dtype=_validation.FLOATS)
        if code.shape[1] != self.components_.shape[0]:
            raise ValueError(
                f"X must have {self.components_.shape[0]} columns, one per latent, as from "
                f"transform; got {code.shape[1]}."
            )
        blocks = map_row_blocks(
            lambda block: self._objective.reconstruction.inverse(self._params, code[block]),
            code.shape[0],
            self.n_jobs,
        )
        return np.concatenate(blocks)

    def score_samples(self, X: MatrixLike) -> np.ndarray:
        """How well each row is explained: higher is better.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to judge.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            The negated squared error summed over features, or the log-likelihood (in nats) for
            "log_loss" and "mixture".
        """
        return -self._row_losses(self._check_rows(X))

    def _row_losses(self, X):
        refined = self.transform_algorithm == "refine"
        blocks = map_row_blocks(
            lambda block: self._objective.row_losses(self._params, X[block], refined),
            X.shape[0],
            self.n_jobs,
        )
        return np.concatenate(blocks)

    def score(self, X: MatrixLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Share of variance explained for squared error, else the mean log-likelihood.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to judge.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        score : float
            ``1 - sum |x - reconstruction|^2 / sum |x - mean|^2`` over these rows, or the mean of
            ``score_samples``. Higher is better. Where all rows are equal, 1 if they are
            reconstructed to six digits and else 0.
        """
        X = self._check_rows(X)
        weight, _ = _validation.check_weight(sample_weight, X)
        mean_loss = float(np.average(self._row_losses(X), weights=weight))
        loss = self._objective.reconstruction.loss
        if not getattr(loss, "explains_variance", False):
            return -mean_loss
        variance = loss.baseline(*_linalg.weighted_moments(X, weight))
        if not np.isfinite(variance):
            raise ValueError(
                "X must have a variance that float64 can hold; got one that overflows. Scale X as "
                "the rows of fit were."
            )
        if variance == 0:
            return float(mean_loss <= 1e-12 * abs(X).max() ** 2 * X.shape[1])
        return 1 - mean_loss / variance

    def _check_rows(self, X):
        check_is_fitted(self)
        loss = self._objective.reconstruction.loss
        return _validation.check_X(self, X, loss, reset=False)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_params")

    __getstate__, __setstate__ = _versions.getstate, _versions.setstate

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
