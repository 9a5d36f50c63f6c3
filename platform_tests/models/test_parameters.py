"""Parameters of the learner: a closed list, checked while the declaration loads."""

import lightgbm as lgb
import pytest
from pydantic import ValidationError

from headrace.models.parameters import LEARNER, OURS
from platform_tests.models.shop import model


def test_every_parameter_is_one_that_the_installed_lightgbm_knows_by_its_first_name() -> None:
    known = lgb.basic._ConfigAliases._get_all_param_aliases()  # there is no public list
    assert set(known) >= LEARNER | set(OURS)


def test_a_misspelt_parameter_gets_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match=r"'num_leafs' is no parameter.*Did you mean 'num_leaves'"):
        model(params={"num_leafs": 31})


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_is_decided_elsewhere_is_refused_with_where(name: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' is not for `params`"):
        model(params={name: 1})
