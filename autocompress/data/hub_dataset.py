"""Datasets of the Hugging Face hub, through the package `datasets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autocompress.data.rows import Rows
from autocompress.errors import DataError, EnvironmentProblem
from autocompress.hub import hub_reachable

if TYPE_CHECKING:
    from autocompress.spec import DataSpec


def read_hub_dataset(name: str, spec: DataSpec) -> Rows:
    """One split of a hub dataset; images and audio stay the encoded bytes that are stored.

    Raises:
        EnvironmentProblem: the package `datasets` is not installed.
        DataError: unknown, unreachable, or the split is not named.
    """
    try:
        import datasets
    except ImportError:
        raise EnvironmentProblem(
            "there is no such file or folder, and reading a hub dataset needs the package datasets",
            where=name,
            remedy="Check the path, or pip install 'autocompress[hub]'.",
        ) from None
    if spec.split is None:
        raise DataError("which split of the hub dataset?", where=name, remedy="Give data.split, such as validation.")
    offline = not hub_reachable()
    if offline:
        datasets.config.HF_HUB_OFFLINE = True
    try:
        dataset = datasets.load_dataset(name, spec.config, split=spec.split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as problem:
        reason = "the hub cannot be reached and the dataset is not cached" if offline else str(problem).splitlines()[0]
        raise DataError(f"cannot be read: {reason}", where=name, remedy="Check the id, config and split.") from None
    for column, feature in dataset.features.items():
        if isinstance(feature, datasets.Image | datasets.Audio):
            dataset = dataset.cast_column(column, type(feature)(decode=False))
    return Rows(name, {column: [_plain(value) for value in dataset[column]] for column in dataset.column_names})


def _plain(value: Any) -> Any:
    """The stored bytes of an undecoded image or audio; anything else as it is."""
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return value["bytes"]
    return value
