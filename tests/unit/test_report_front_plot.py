from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_example import example_records, example_results, measurement, trial

from autocompress.errors import UsageError
from autocompress.report.figure import write_front_figure
from autocompress.report.front_plot import front_plot
from autocompress.report.points import Axis, other_limit, size_limit
from autocompress.report.results import Results
from autocompress.spec import Constraints

RESULTS = example_results()


@pytest.mark.parametrize("axis", ["quality_drop", "speedup"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_plot_fits_its_box_and_shows_the_best(axis: Axis, ascii_only: bool) -> None:
    lines = front_plot(RESULTS, axis=axis, width=70, height=18, ascii_only=ascii_only).splitlines()
    assert len(lines) <= 18
    assert max(map(len, lines)) <= 70
    assert sum(("@" if ascii_only else "◆") in line for line in lines) == 2  # in the plot and in the legend
    assert not ascii_only or "\n".join(lines).isascii()


def test_smaller_trials_stand_left_of_larger_ones() -> None:
    lines = front_plot(RESULTS, width=100, height=30).splitlines()
    columns = {sign: next(line.index(sign) for line in lines if sign in line) for sign in ("★4", "◆2", "★11", "◎0")}
    assert columns["★4"] < columns["◆2"] < columns["★11"] < columns["◎0"]


sizes = st.floats(0.01, 3)
trials = st.lists(st.tuples(sizes, st.floats(0.05, 50), st.floats(-1, 1)), max_size=8)


@given(trials, st.integers(40, 120), st.integers(8, 40), st.booleans())
def test_any_run_can_be_plotted(
    figures: list[tuple[float, float, float]], width: int, height: int, ascii_only: bool
) -> None:
    original = trial(0, [], "pytorch", measurement(size=1))
    others = [
        trial(number, [], "onnx", measurement(size=size, speedup=speedup, drop=drop))
        for number, (size, speedup, drop) in enumerate(figures, start=1)
    ]
    results = Results((original, *others), frozenset({1}), RESULTS.constraints, original, best=1)
    for axis in ("quality_drop", "speedup"):
        lines = front_plot(results, axis=axis, width=width, height=height, ascii_only=ascii_only).splitlines()
        assert max(map(len, lines[:-1])) <= width
        assert len(lines) <= height


def test_without_figures_there_is_a_sentence() -> None:
    assert front_plot(replace(RESULTS, records=())).startswith("Nothing to plot")


def test_limits_are_drawn_in_the_unit_of_their_axis() -> None:
    limits = Constraints.model_validate({"size": "45433976B", "quality_drop": "1%", "latency": "8.8ms"})
    results = replace(RESULTS, constraints=limits)
    assert size_limit(results) == pytest.approx(0.5)
    assert other_limit(results, "quality_drop") == pytest.approx(0.8819)
    assert other_limit(results, "speedup") == pytest.approx(2.0)
    free = replace(RESULTS, constraints=Constraints())
    assert size_limit(free) is other_limit(free, "speedup") is other_limit(free, "quality_drop") is None


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_is_written(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "plots" / f"front.{suffix}"
    write_front_figure(RESULTS, path)
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")


def test_another_kind_of_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot draw a \.bmp file"):
        write_front_figure(RESULTS, tmp_path / "front.bmp")


def test_the_picture_of_a_run_with_only_its_original_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    only = replace(RESULTS, records=example_records()[:1], front=frozenset(), best=None)
    write_front_figure(only, tmp_path / "front.png", axis="speedup")
    assert (tmp_path / "front.png").exists()
