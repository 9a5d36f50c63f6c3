"""Training over sites is declared with its sites, and what would take their rows elsewhere is refused while loading."""

from typing import Any

import pytest
from pydantic import ValidationError

from headrace.models.declaration import Model
from platform_tests.models.federated.flower import federated


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"federated": None}, "`federated: {by: <column>}`, whose values are the sites, go together"),
        ({"trainer": "xgboost"}, "go together"),
        ({"task": "ranking", "group": "basket"}, "`task: ranking` has none of"),
        ({"task": "quantile", "quantile": 0.9}, "`task: quantile` has none of"),
        ({"tune": {"trials": 3, "max_depth": [2, 4]}}, "`tune` learns from the rows of all sites in one place"),
        ({"harden": "adversarial"}, "`harden` learns from the rows of all sites in one place"),
        ({"calibrate": "platt"}, "`calibrate` learns from the rows of all sites in one place"),
        ({"costs": {"false_positive": 1, "false_negative": 2}}, "`costs` learns from the rows of all sites"),
        ({"trees": 1}, "1 `trees` are too few for 2 `rounds`"),
        ({"params": {"base_score": 0.3}}, "'base_score' is no parameter of XGBoost over sites"),
        ({"params": {"num_parallel_tree": 3}}, "'num_parallel_tree' is no parameter of XGBoost over sites"),
        ({"federated": {"by": "country", "round": 3}}, "unknown key 'round'.*'rounds'"),
    ],
)
def test_what_does_not_go_with_sites_is_refused_while_loading(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        federated(**changes)


def test_the_column_of_sites_is_no_input_for_it_is_the_same_on_every_row_of_one() -> None:
    assert federated(weight="worth").no_inputs == ["worth", "country"]


def test_what_is_declared_is_read_back() -> None:
    assert Model.model_validate(federated().model_dump(mode="json", by_alias=True)) == federated()
