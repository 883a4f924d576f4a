"""scikit-learn's own checks, no expected failure, over estimators and components."""

import inspect
import re

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import MultiTaskSAEClassifier, MultiTaskSAERegressor, SparseAutoencoderTransformer
from skmtl.sparsifiers import SPARSIFIERS

CODES = [
    *({"sparsifier": name} for name in SPARSIFIERS),
    {"sparsifier": None},
    {"n_components": 256},  # codes of 16 in 256 are sparse
    {"loss": "mixture"},
]
ESTIMATORS = [
    *(SparseAutoencoderTransformer(**code) for code in CODES),
    *(MultiTaskSAEClassifier(**code) for code in CODES),
    MultiTaskSAEClassifier(pretrain_iter=5, reconstruction_weight=0.1),
    MultiTaskSAEClassifier(skip_connection=True, n_private_components=2, head_penalty="group"),
    MultiTaskSAEClassifier(head_penalty="mean", pretrain_iter=5, pretrained_penalty=0.1),
    MultiTaskSAERegressor(),
    MultiTaskSAERegressor(n_components=256),
    MultiTaskSAERegressor(loss="mixture", learning_rate=0.003),
    MultiTaskSAERegressor(sparsifier=None, pretrain_iter=5, reconstruction_weight=0.1),
]
pytestmark = pytest.mark.compiled  # some three thousand fits
PUBLIC = [SparseAutoencoderTransformer, MultiTaskSAEClassifier, MultiTaskSAERegressor]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Task .* has one class")
@parametrize_with_checks(ESTIMATORS)
def test_estimator(estimator, check):
    check(estimator)


# What scikit-learn runs on its own estimators only.
FURTHER_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_get_feature_names_out_error",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_param_validation",
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("check", FURTHER_CHECKS)
@pytest.mark.parametrize("estimator", [cls() for cls in PUBLIC], ids=repr)
def test_further_checks(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("cls", PUBLIC)
def test_every_parameter_is_documented_and_constrained(cls):
    parameters = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    assert set(cls._parameter_constraints) == set(parameters)
    for name in parameters:
        assert f"\n    {name} : " in cls.__doc__, name


def test_shared_parameters_have_the_same_defaults():
    """Each takes all of the transformer's; a differing default needs a reason here."""
    ours = SparseAutoencoderTransformer().get_params()
    for cls in (MultiTaskSAEClassifier, MultiTaskSAERegressor):
        theirs = cls().get_params()
        assert {name for name in ours if theirs[name] != ours[name]} == set()


def test_siblings_differ_only_where_their_targets_do():
    """The same parameters but those about classes, with the same defaults, in the same words."""
    classifier, regressor = MultiTaskSAEClassifier(), MultiTaskSAERegressor()
    of_classes = {"class_weight", "missing_label"}
    shared = {k: v for k, v in classifier.get_params().items() if k not in of_classes}
    assert shared == regressor.get_params()
    for name in shared.keys() - {"validation_fraction", "warm_start"}:
        described = [
            re.search(rf"\n    {name} : .*?(?=\n    \w|\n\n)", cls.__doc__, re.DOTALL)[0]
            for cls in (MultiTaskSAEClassifier, MultiTaskSAERegressor)
        ]
        assert described[0] == described[1]
