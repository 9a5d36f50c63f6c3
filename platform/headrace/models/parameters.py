"""The learner's parameters that a declaration may hold, by LightGBM's own first names."""

from collections.abc import Mapping
from typing import Any

from headrace.core.names import did_you_mean
from headrace.models.trainers.torch import PARAMS

_WORDS = """
boosting data_sample_strategy bagging_fraction pos_bagging_fraction neg_bagging_fraction bagging_freq
bagging_by_query feature_fraction feature_fraction_bynode extra_trees top_rate other_rate
drop_rate max_drop skip_drop uniform_drop xgboost_dart_mode
num_leaves max_depth learning_rate min_data_in_leaf min_sum_hessian_in_leaf min_gain_to_split max_delta_step
lambda_l1 lambda_l2 path_smooth
cat_l2 cat_smooth min_data_per_group max_cat_threshold max_cat_to_onehot
max_bin min_data_in_bin bin_construct_sample_cnt feature_pre_filter use_missing zero_as_missing
scale_pos_weight is_unbalance boost_from_average sigmoid
"""
LEARNER = frozenset(_WORDS.split())
OF_CLASSES = frozenset({"scale_pos_weight", "is_unbalance"})
"""Those that mean something for a classification alone."""

OURS = {
    "objective": "say `task`",
    "num_iterations": "say `trees`",
    "seed": "say `seed` beside `params`",
    "num_threads": "it would change the model's bytes; set OMP_NUM_THREADS where the training runs",
    "deterministic": "it is always on: the same rows give the same bytes",
    "force_row_wise": "it is always on: the same rows give the same bytes",
}
"""What is decided elsewhere, and where."""


XGBOOST = frozenset(
    [
        "learning_rate",
        "max_depth",
        "max_leaves",
        "min_child_weight",
        "gamma",
        "max_delta_step",
        "grow_policy",
        "max_bin",
        "num_parallel_tree",
        "subsample",
        "sampling_method",
        "colsample_bytree",
        "colsample_bylevel",
        "colsample_bynode",
        "reg_lambda",
        "reg_alpha",
        "max_cat_to_onehot",
        "max_cat_threshold",
        "scale_pos_weight",
        "base_score",
        "lambdarank_num_pair_per_sample",
    ]
)
FEDERATED = XGBOOST - {"base_score", "num_parallel_tree", "lambdarank_num_pair_per_sample"}
TORCH = frozenset(PARAMS)
LEAST = {"width": 1, "layers": 1, "epochs": 1, "batch": 1}
CLOSED = {"lightgbm": LEARNER, "xgboost": XGBOOST, "torch": TORCH, "federated": FEDERATED}
"""The parameters of each built-in trainer; those of scikit-learn and of the user's own are checked when it trains."""
NAMES = {"lightgbm": "LightGBM", "xgboost": "XGBoost", "torch": "the net", "federated": "XGBoost over sites"}


def refuse_unknown(trainer: str, params: Mapping[str, Any]) -> None:
    """Raise ValueError for a name that a learner would ignore without a word, or that is not the user's to set."""
    known = CLOSED[trainer]
    for name, value in params.items():
        if name in OURS:
            raise ValueError(f"'{name}' is not for `params`: {OURS[name]}")
        if name not in known:
            raise ValueError(
                f"'{name}' is no parameter of {NAMES[trainer]} that can be set here.{did_you_mean(name, known)}"
            )
        if trainer == "torch" and (isinstance(value, str | bool) or not value >= LEAST.get(name, 0)):
            raise ValueError(f"'{name}' of the net is a number of at least {LEAST.get(name, 0)}, not {value}")
