"""The proof that workers learned together: without a network each learns from its own rows alone, and does not say so."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.core.errors import DataError, StoreError
from headrace.models.spread.worker import Learned

ROOT = re.compile(r"^internal_count=(\d+)", re.MULTILINE)
"""How many rows went through the first node of a tree: in LightGBM's text, of each tree that has a split."""
SAMPLING = {"data_sample_strategy", "bagging_fraction", "pos_bagging_fraction", "neg_bagging_fraction"}
SAMPLED_BOOSTING = {"goss", "rf", "random_forest"}


def proven(learned: Sequence[Learned], rows: int, params: Mapping[str, Any]) -> str:
    """Return the text of the model that workers have learned together from so many rows.

    The root of each tree must have seen all rows, and all workers must have the same trees. With `params` that draw rows
    for each tree a root has seen those that were drawn, at most all; there the same trees are the proof. Raises StoreError
    where workers learned apart, DataError where no tree has a split that would tell.
    """
    texts = {one.text for one in learned}
    roots = sorted({int(count) for text in texts for count in ROOT.findall(text)})
    read = [one.rows for one in learned]
    if not roots:
        raise DataError(
            f"LightGBM found nothing to split on in {rows} rows: its model would say the same of each row, and nothing shows "
            "that workers learned together. Ingest more history, or train here: trainer: lightgbm."
        )
    is_whole = roots[-1] <= rows if draws_rows(params) else roots == [rows]
    if sum(read) != rows or not is_whole or len(texts) > 1:
        raise StoreError(
            f"The workers did not learn together: the first nodes of their trees have seen {_some(roots)} rows of {rows}, "
            f"they read {' + '.join(map(str, read))}, and have {len(texts)} different models. Nothing was stored: run this again."
        )
    return learned[0].text


def draws_rows(params: Mapping[str, Any]) -> bool:
    """Return whether parameters let each tree grow from some of the rows."""
    return bool(SAMPLING & set(params)) or params.get("boosting") in SAMPLED_BOOSTING


def _some(roots: Sequence[int]) -> str:
    return str(roots[0]) if len(roots) == 1 else f"{roots[0]} to {roots[-1]}"
