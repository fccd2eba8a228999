"""Training samples are made as they are needed, in memory that is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from autocompress import part_samples
from autocompress.data.rows import Rows
from autocompress.part_samples import training_inputs
from autocompress.spec import DataSpec
from autocompress.tasks.base import Role, Sample

N_ROWS = 5000


class Blocks:
    """A task that makes a block of 4 KB of every row, and counts them."""

    roles = (Role("text", ("text",)), Role("label", ("label",)))

    def __init__(self) -> None:
        self.n_made = 0

    def training_samples(self, model: object, rows: Rows, seed: int) -> Sequence[Sample]:
        self.n_made += len(rows)
        return [Sample({"x": np.full((1, 1000), int(text), np.float32)}, 0) for text in rows.columns["text"]]

    def training_inputs(self, model: object, sample: Sample) -> dict[str, np.ndarray]:
        return dict(sample.inputs)


@pytest.fixture
def workspace(tmp_path: Path) -> SimpleNamespace:
    for name, numbers in {"train": range(N_ROWS), "search": range(N_ROWS, N_ROWS + 9)}.items():
        lines = ["text,label", *(f"{number},{number % 2}" for number in numbers)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    data = DataSpec(training=str(tmp_path / "train.csv"), search=str(tmp_path / "search.csv"))
    return SimpleNamespace(model=None, data=data, seed=0, baseline=tmp_path)


def test_no_more_rows_are_made_into_samples_than_fit(
    workspace: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_samples, "MOST_TRAINING_BYTES", 1500 * 4000)
    task = Blocks()
    inputs = training_inputs(workspace, task)
    assert len(inputs) == 1500
    assert task.n_made == 2000


def test_all_rows_that_fit_are_kept_each_once(workspace: SimpleNamespace) -> None:
    inputs = training_inputs(workspace, Blocks())
    assert sorted(int(sample["x"][0, 0]) for sample in inputs) == list(range(N_ROWS))
