"""What is foretold of a search, as the wizard reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompress.search_cost import SearchCost
from autocompress.tui.model.draft import Draft
from autocompress.tui.model.expected import Expected
from autocompress.tui.model.probe import Probe

COST = {
    "trial_seconds_low": 12.0,
    "trial_seconds_high": 48.0,
    "original_bytes": 90e6,
    "artifact_bytes": 30e6,
    "state_bytes": 90e6,
    "cache_bytes": 5e9,
}


def recipe(size_bytes: float, *labels: str, breaks: tuple[str, ...] = (), **figures: Any) -> dict[str, Any]:
    return {
        "labels": list(labels),
        "recipe": {"steps": [], "format": "onnx"},
        "size_bytes": size_bytes,
        "size_is_exact": True,
        "ram_bytes": {"low": 86.2e6, "high": 160.1e6},
        "latency_ms": {"low": 2.258, "high": 9.033},
        "breaks": list(breaks),
        "may_break": [],
        **figures,
    }


def told(*recipes: dict[str, Any], device: str = "cpu") -> str:
    return json.dumps({"device": device, "original": {"size_bytes": 90e6}, "recipes": recipes, "cost": COST}, indent=2)


def test_figures_come_with_units_and_say_how_sure_they_are() -> None:
    expected = Expected.read(
        told(
            recipe(22.9e6, "magnitude 30%", "int8-dynamic"),
            recipe(8.1e6, size_is_exact=False, latency_ms=None, ram_bytes={"low": 0.84e9, "high": 1.56e9}),
            device="cuda",
        )
    )
    first, second = expected.recipes
    assert first.label == "magnitude 30% → int8-dynamic → onnx"
    assert (first.size, first.ratio, first.memory, first.latency) == ("22.9 MB", "0.254×", "86–160 MB", "2.3–9.0 ms")
    assert (second.label, second.size, second.ratio) == ("onnx", "~8.10 MB", "0.090×")
    assert (second.memory, second.latency) == ("0.84–1.6 GB", "–")
    assert expected.memory_name == "VRAM"


def test_recipes_that_may_keep_the_limits_come_first_each_in_the_order_of_the_search() -> None:
    large = {"breaks": ("size",)}
    expected = Expected.read(
        told(recipe(90e6, "a", **large), recipe(20e6, "b"), recipe(60e6, "c", **large), recipe(30e6, "d"))
    )
    assert [one.label[0] for one in expected.first(3)] == ["b", "d", "a"]
    assert expected.first(0) == ()
    assert expected.n_inside == 2


def test_duration_and_disk_follow_the_number_of_trials() -> None:
    expected = Expected.read(told(recipe(20e6)))
    assert expected.cost.seconds(30) == (360.0, 1440.0)
    assert expected.cost.seconds(30, timeout=600.0) == (360.0, 600.0)
    assert expected.told_disk(30) == "up to 1.2 GB on disk"
    assert expected.told_disk(1) == "up to 240 MB on disk"


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_more_trials_never_take_less(some: int, others: int) -> None:
    cost, fewer, more = SearchCost(**COST), min(some, others), max(some, others)
    assert cost.seconds(fewer) <= cost.seconds(more)
    assert cost.disk_bytes(fewer) <= cost.disk_bytes(more)
    assert cost.disk_bytes(more)[1] <= 90e6 + 8 * 30e6 + 5e9


@pytest.mark.parametrize("output", ["", "[]", "{}", '{"original": {"size_bytes": 0}, "device": "cpu", "recipes": [1]}'])
def test_what_cannot_be_read_is_refused_in_a_sentence(output: str) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        Expected.read(output)


def test_figures_of_recipes_depend_on_neither_name_nor_budget(tmp_path: Path) -> None:
    draft = Draft(model=str(tmp_path), limits={"size": "0.5x"}, threads="2")
    before = draft.outline(Probe())
    draft.name, draft.trials, draft.timeout, draft.prefer = "other", "7", "2h", "size"
    assert draft.outline(Probe()) == before
    assert before == {"model": {"path": str(tmp_path)}, "constraints": {"size": "0.5x"}, "threads": 2}
    draft.limits["size"] = "0.4x"
    assert draft.outline(Probe()) != before
