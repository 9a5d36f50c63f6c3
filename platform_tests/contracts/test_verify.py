"""Names in contracts that lead nowhere are found while loading, with the nearest word."""

from typing import Any

import pytest

from headrace.contracts.declaration import Contract
from headrace.contracts.verify import verify_contracts
from headrace.core.errors import DeclarationError
from headrace.sources.declaration import Source

SOURCES = {"flights": Source(files="f", time="left", partition="day"), "planes": Source(files="p")}
PLANES = {"columns": {"tailnum": {"type": "string"}, "seats": {"type": "integer"}}}
FLIGHTS: dict[str, Any] = {"columns": {"tailnum": {"type": "string"}, "left": {"type": "timestamp"}}}


def verify(flights: dict[str, Any], planes: dict[str, Any] = PLANES) -> None:
    declared = {"flights": FLIGHTS | flights, "planes": planes}
    verify_contracts(SOURCES, {name: Contract.model_validate(contract) for name, contract in declared.items()})


def references(column: str, kind: str = "string") -> dict[str, Any]:
    return {"columns": FLIGHTS["columns"] | {"tailnum": {"type": kind, "references": column}}}


def test_a_contract_whose_names_are_there_is_taken() -> None:
    rules = {"rules": {"named": "tailnum <> '' and (left is null or left > timestamptz '2013-01-01')"}}
    verify(
        references("planes.tailnum") | rules | {"unique": ["tailnum", "left"], "volume": {"over": "7d", "min_share": 1}}
    )


@pytest.mark.parametrize(
    ("flights", "words"),
    [
        (references("plane.tailnum"), "no source with a contract 'plane'; there are flights, planes. Did you mean 'planes'"),
        (references("planes.tailnumber"), "no column in the contract of 'planes' 'tailnumber'.* Did you mean 'tailnum'"),
        (references("planes.tailnum", "integer"), "'tailnum' is integer, and planes.tailnum is string"),
        (references("flights.tailnum"), "'flights' refers to itself"),
        ({"unique": ["tailnum", "lef"]}, "no column in the contract 'lef'.* Did you mean 'left'"),
        ({"rules": {"r": "lefft > now()"}}, "no column in the contract 'lefft'.* Did you mean 'left'"),
        ({"rules": {"r": "left >"}}, "not SQL"),
        ({"rules": {"r": "left > now() -- so"}}, "not SQL"),
        ({"rules": {"r": "max(left) > now()"}}, "no condition over the columns of one row"),
        ({"rules": {"r": "row_number() over (order by left) > 1"}}, "no condition over the columns of one row"),
        ({"rules": {"r": "tailnum in (select tailnum from planes)"}}, "no condition over the columns of one row"),
        ({"rules": {"r": "left is null), (tailnum is null"}}, "no condition over the columns of one row"),
        ({"rules": {"r": "left > tailnum"}}, "cannot be asked"),
        ({"rules": {"r": "lower(left)"}}, "cannot be asked"),
        ({"rules": {"r": "1 = 1"}}, "no condition over the columns of one row"),
    ],
)  # fmt: skip
def test_what_leads_nowhere_is_said(flights: dict[str, Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        verify(flights)


def test_sources_that_refer_to_each_other_are_refused() -> None:
    planes = {"columns": {"tailnum": {"type": "string", "references": "flights.tailnum"}}}
    with pytest.raises(DeclarationError, match="refers to itself, in the end"):
        verify(references("planes.tailnum"), planes)


def test_a_volume_needs_days() -> None:
    with pytest.raises(DeclarationError, match="`volume` looks at days, and 'planes' has none"):
        verify({}, PLANES | {"volume": {"over": "7d", "min_share": 1}})
