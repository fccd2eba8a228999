from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompress.errors import SpecError
from autocompress.spec import Constraints, DataSpec, SearchSpec, parse_bytes, parse_seconds
from autocompress.strict import read_yaml, validate


@pytest.mark.parametrize(
    ("written", "n_bytes"),
    [("25MB", 25_000_000), ("2 GiB", 2**31), ("1.5kb", 1500), ("7", 7), ("1e3B", 1000), ("512MiB", 2**29)],
)
def test_sizes_are_read_as_people_write_them(written: str, n_bytes: int) -> None:
    assert parse_bytes(written) == n_bytes


@pytest.mark.parametrize(("written", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1.5min", 90)])
def test_durations_are_read_as_people_write_them(written: str, seconds: float) -> None:
    assert parse_seconds(written) == seconds


def test_limits_know_whether_they_are_relative() -> None:
    limits = Constraints.model_validate({"size": "0.3x", "ram": "1GB", "latency": "20ms", "quality_drop": "1%"})
    assert limits.size is not None
    assert (limits.size.bound, limits.size.relative) == (0.3, True)
    assert limits.ram is not None
    assert (limits.ram.bound, limits.ram.relative) == (1e9, False)
    assert limits.latency is not None
    assert (limits.latency.bound, limits.latency.relative) == (20.0, False)
    assert limits.quality_drop is not None
    assert (limits.quality_drop.bound, limits.quality_drop.relative) == (0.01, True)


@pytest.mark.parametrize(("written", "bound", "in_points"), [("1pp", 0.01, True), ("0.01", 0.01, False), (2, 2, False)])
def test_an_absolute_drop_is_in_the_metric_s_own_unit(written: str, bound: float, in_points: bool) -> None:
    drop = Constraints.model_validate({"quality_drop": written}).quality_drop
    assert drop is not None
    assert (drop.bound, drop.relative, drop.in_points) == (bound, False, in_points)


@pytest.mark.parametrize("limit", ["size", "ram", "vram", "latency"])
@pytest.mark.parametrize("written", ["0x", "0MB", "-1", "MB", "1 elephant", "1%", "", True, [1]])
def test_a_limit_without_sense_is_refused_with_its_place(limit: str, written: object) -> None:
    with pytest.raises(SpecError, match=rf"^constraints\.{limit}"):
        validate(SearchSpec, {"model": {"path": "m"}, "constraints": {limit: written}}, error=SpecError)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "size": st.sampled_from(["0.3x", "25MB", "1000B"]),
            "latency": st.sampled_from(["20ms", "0.5x"]),
            "quality_drop": st.sampled_from(["1%", "1pp", "0.01", 0.5]),
            "ram": st.none(),
        },
    ),
    st.integers(1, 1000),
)
def test_a_spec_survives_being_written_as_plain_data(limits: dict[str, object], trials: int) -> None:
    plain = {"model": {"path": "m"}, "constraints": limits, "budget": {"trials": trials, "timeout": "2h"}}
    spec = SearchSpec.model_validate(plain)
    assert SearchSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_data_needs_a_source() -> None:
    with pytest.raises(SpecError, match="give a path, or at least a search path"):
        validate(DataSpec, {}, error=SpecError)


def test_relative_paths_are_taken_from_the_spec_s_folder_and_hub_ids_are_left(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    file = tmp_path / "spec.yaml"
    file.write_text("model: {path: model}\ndata: {path: org/dataset, search: ./rows.csv}\n")
    spec = validate(SearchSpec, read_yaml(file)).resolved_against(tmp_path)
    assert spec.model.path == str(tmp_path / "model")
    assert spec.data is not None
    assert (spec.data.path, spec.data.search) == ("org/dataset", str(tmp_path / "rows.csv"))
