"""The volume that a front dominates, against counting; and its growth."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompress.tui.attachment import Attachment
from autocompress.tui.model.hypervolume import HypervolumeHistory, reference_of, volume

REFERENCE = (6, 6, 6)
Cell = st.tuples(*[st.integers(0, 7)] * 3)


@given(st.lists(Cell, max_size=12))
def test_the_volume_is_the_number_of_unit_cubes_that_are_dominated(points: list[tuple[int, int, int]]) -> None:
    cubes = sum(
        any(x >= p[0] and y >= p[1] and z >= p[2] for p in points) for x in range(6) for y in range(6) for z in range(6)
    )
    assert volume(points, REFERENCE) == pytest.approx(cubes)


def test_the_history_grows_the_same_however_it_is_taken_in(synthetic_run: Path) -> None:
    attachment = Attachment("synthetic", synthetic_run / "events.jsonl", synthetic_run)
    attachment.poll(60)
    at_once, in_pieces = HypervolumeHistory(), HypervolumeHistory()
    assert at_once.take(attachment.state, seconds=60)
    while not in_pieces.take(attachment.state, seconds=0.0):
        pass
    assert at_once.gains == in_pieces.gains
    volumes = [gain.volume for gain in at_once.gains]
    assert len(volumes) > 3
    assert volumes == sorted(volumes)
    assert reference_of(attachment.state) is not None
