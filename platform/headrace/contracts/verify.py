"""What can be known to be wrong with contracts before any data are read."""

from collections.abc import Iterable, Mapping

from sqlglot import exp

from headrace.contracts.cast import typed_schema
from headrace.contracts.declaration import Contract
from headrace.contracts.rules import condition_sql
from headrace.core.errors import DeclarationError, SqlError
from headrace.core.names import did_you_mean
from headrace.core.sql import columns_of, parse
from headrace.sources.declaration import Source
from headrace.store.engine import verify_sql

_NOT_OF_A_ROW = (exp.AggFunc, exp.Window, exp.Subquery, exp.Select, exp.Exists, exp.Table, exp.Star, exp.Alias)


def verify_contracts(sources: Mapping[str, Source], contracts: Mapping[str, Contract]) -> None:
    """Raise DeclarationError for the first name that leads nowhere, or rule that cannot be kept."""
    for name, contract in contracts.items():
        path = ("contracts", name)
        _known("source", name, sources, path)
        _verify_rules(contract, path)
        for names in contract.unique:
            for column in names:
                _known("column in the contract", column, contract.columns, (*path, "unique"))
        learns = contract.learned or any(column.learned for column in contract.columns.values())
        if learns and not sources[name].partition:
            raise DeclarationError(
                f"`learned` looks at days, and '{name}' has none: say `partition: day` there.", (*path, "learned")
            )
        if contract.volume and not sources[name].partition:
            raise DeclarationError(
                f"`volume` looks at days, and '{name}' has none: say `partition: day` there.", (*path, "volume")
            )
        _verify_references(name, contracts, path)
    _refuse_circles(contracts)


def _verify_rules(contract: Contract, path: tuple[str, ...]) -> None:
    typed = typed_schema(contract.columns)
    for rule, declared in contract.rules.items():
        here = (*path, "rules", rule)
        try:
            used = columns_of(f"({declared.sql})", f"rule '{rule}'")
        except SqlError as error:
            raise DeclarationError(str(error), here) from None
        for column in sorted(used):
            _known("column in the contract", column, contract.columns, here)
        tree = parse(f"select ({declared.sql})", rule)
        other = [node for node in tree.walk() if isinstance(node, _NOT_OF_A_ROW) and node is not tree]
        if other or not used or len(tree.selects) != 1:
            raise DeclarationError(f"'{declared.sql}' is no condition over the columns of one row.", here)
        try:
            verify_sql(f"select cast({condition_sql(declared.sql)} as boolean) from landed", {"landed": typed})
        except SqlError as error:
            raise DeclarationError(f"'{declared.sql}' cannot be asked: {error}", here) from None


def _verify_references(name: str, contracts: Mapping[str, Contract], path: tuple[str, ...]) -> None:
    for column, declared in contracts[name].columns.items():
        if not declared.references:
            continue
        here = (*path, "columns", column, "references")
        source, _, key = declared.references.partition(".")
        _known("source with a contract", source, contracts, here)
        _known(f"column in the contract of '{source}'", key, contracts[source].columns, here)
        kind = contracts[source].columns[key].type
        if kind != declared.type:
            raise DeclarationError(
                f"'{column}' is {declared.type}, and {declared.references} is {kind}: declare one type.", here
            )


def _refuse_circles(contracts: Mapping[str, Contract]) -> None:
    for name in contracts:
        reached, ahead = set[str](), [name]
        while ahead:
            for source in contracts[ahead.pop()].referenced:
                if source == name:
                    raise DeclarationError(
                        f"'{name}' refers to itself, in the end: none could be validated first. Take one `references` out.",
                        ("contracts", name),
                    )
                if source not in reached:
                    reached.add(source)
                    ahead.append(source)


def _known(what: str, word: str, words: Iterable[str], path: tuple[str, ...]) -> None:
    known = sorted(words)
    if word not in known:
        raise DeclarationError(f"no {what} '{word}'; there are {', '.join(known)}.{did_you_mean(word, known)}", path)
