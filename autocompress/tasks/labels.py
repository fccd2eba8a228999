"""Class labels as the data and the model write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.errors import DataError
from autocompress.registry import suggestion

if TYPE_CHECKING:
    from autocompress.data.rows import Rows
    from autocompress.tasks.base import Score

LABEL_COUNT_WITHOUT_NAMES = 2
"""What transformers takes for a configuration that names no labels."""


def label_names(config: Mapping[str, Any]) -> list[str]:
    """Names of the model's classes, by class number."""
    named = config.get("id2label") or {}
    count = len(named) or int(config.get("num_labels") or LABEL_COUNT_WITHOUT_NAMES)
    return [str(named.get(str(number), f"LABEL_{number}")) for number in range(count)]


def label_numbers(rows: Rows, names: Sequence[str]) -> list[int]:
    """Class number of each row: from a number, a number as text, or a name in any case.

    Raises:
        DataError: a label that the model does not know; names the row.
    """
    known = {name.casefold(): number for number, name in enumerate(names)}
    numbers = []
    for row, label in enumerate(rows.columns["label"], 1):
        number = _number(label, known)
        if number is None or not 0 <= number < len(names):
            raise DataError(
                f"the model has no class {str(label)!r} (row {row})",
                where=rows.source,
                remedy=suggestion(str(label), names) if len(names) <= 100 else f"It has {len(names)} classes.",
            )
        numbers.append(number)
    return numbers


def _number(label: Any, known: Mapping[str, int]) -> int | None:
    if isinstance(label, str):
        text = label.strip()
        if text.casefold() in known:
            return known[text.casefold()]
        return int(text) if text.isdecimal() else None
    if isinstance(label, int | np.integer):
        return int(label)
    return None


def require_classes(rows: Rows) -> None:
    """Refuse rows that all have one label: every constant answer would be right.

    Raises:
        DataError: only one class.
    """
    labels = {str(label) for label in rows.columns["label"]}
    if len(labels) == 1:
        raise DataError(
            f"all {len(rows)} rows have the label {labels.pop()!r}",
            where=rows.source,
            remedy="Classification is judged on at least two classes.",
        )


def accuracy_score(logits: Any, target: Any) -> Score:
    """Whether the largest of the logits, shape (1, n_classes), is the right one."""
    return {"accuracy": (float(int(np.argmax(logits[0])) == int(target)), 1.0)}
