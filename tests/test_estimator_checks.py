"""scikit-learn's own check suite, and those checks that it leaves to be called."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from mug_sklearn import MUGTransformer

from .conftest import small_mug

INSTANCES = [
    small_mug(),
    small_mug(granularity="fine", fine_fusion="max"),
    small_mug(granularity="coarse", n_random_shapelets=0),
]


@parametrize_with_checks(INSTANCES)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([MUGTransformer(device="cpu")])
def test_check_estimator_at_default_size(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "name",
    [
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_get_feature_names_out_error",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_global_output_transform_pandas",
        "check_param_validation",
        "check_dataframe_column_names_consistency",
        "check_n_features_in",
    ],
)
def test_further_check(name):
    getattr(estimator_checks, name)("MUGTransformer", small_mug())


def test_tags_tell_which_input_is_taken():
    tags = small_mug().__sklearn_tags__().input_tags
    assert tags.two_d_array
    assert tags.three_d_array
    assert tags.allow_nan
