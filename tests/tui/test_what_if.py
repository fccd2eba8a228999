"""Moving limits: the steps, the counts, and making them the search's."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from over_run import over, play, searching, text_of, until_shown
from textual.pilot import Pilot

from autocompress.limits import parse_bound
from autocompress.tui.model.judging import Candidates
from autocompress.tui.model.run_state import Metric
from autocompress.tui.model.supposed_limit import Figures, SupposedLimit, bounds_of, limits_of, nearest_miss
from autocompress.tui.model.trial import Interval, Trial
from autocompress.tui.screens.what_if import WhatIfScreen


@pytest.fixture
def run(synthetic: ModuleType, tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "mine"
    synthetic.write_run(folder, 60)
    return folder


@pytest.mark.parametrize(
    ("name", "written", "by", "coarse", "then"),
    [
        ("size", "0.3x", -1, False, "0.29x"),
        ("size", "0.3x", 1, True, "0.35x"),
        ("size", "0.32x", 1, True, "0.35x"),
        ("size", "1x", -1, False, "0.99x"),
        ("size", "1x", 1, False, "1.1x"),
        ("latency", "20ms", 1, False, "21ms"),
        ("ram", "250MB", -1, False, "240MB"),
        ("quality_drop", "1pp", -1, False, "0.95pp"),
        ("quality_drop", "0.05%", -1, False, "0%"),
        ("quality_drop", "0%", -1, False, "0%"),
        ("quality_drop", "0%", 1, False, "0.05%"),
        ("quality_drop", "0.1pp", -1, True, "0pp"),
    ],
)
def test_a_step_is_of_the_second_digit_and_a_coarse_one_of_five(
    name: str, written: str, by: int, coarse: bool, then: str
) -> None:
    assert SupposedLimit.of(name, written, None).moved(by, coarse=coarse).written == then


@given(st.sampled_from(["0.3x", "1x", "12MB", "7GB"]), st.lists(st.tuples(st.sampled_from([-1, 1]), st.booleans())))
def test_wherever_a_limit_is_moved_it_can_be_read(written: str, moves: list[tuple[int, bool]]) -> None:
    limit = SupposedLimit.of("size", written, None)
    for by, coarse in moves:
        moved = limit.moved(by, coarse=coarse)
        assert parse_bound("size", moved.written).bound == moved.bound.bound > 0
        limit = moved


def test_a_value_can_be_typed_with_or_without_a_unit() -> None:
    limit = SupposedLimit.of("size", "0.3x", None)
    assert limit.with_written("0.25").written == "0.25x"
    assert limit.with_written("25MB").written == "25MB"
    with pytest.raises(ValueError, match="is not a limit"):
        limit.with_written("25 apples")


def test_a_limit_changes_its_unit_by_the_original_s_figure() -> None:
    original = Trial(0, "complete", "baseline", "pytorch", (), (), size_bytes=100_000_000, p50_ms=10.0, quality=0.8)
    for name, written, other in (
        ("size", "0.3x", "30MB"),
        ("latency", "5ms", "0.5x"),
        ("quality_drop", "1%", "0.8pp"),
        ("quality_drop", "0.8pp", "1%"),
    ):
        assert SupposedLimit.of(name, written, None).in_other_unit(original).written == other
    unknown = SupposedLimit.of("ram", "0.5x", None)
    assert unknown.in_other_unit(original) is unknown


def test_a_limit_that_the_run_lacks_is_off_with_a_value_to_begin_with() -> None:
    assert SupposedLimit.of("quality_drop", None, Metric("accuracy", True, True)).written == "1pp"
    assert SupposedLimit.of("quality_drop", None, Metric("perplexity", False, False)).written == "1%"
    assert not SupposedLimit.of("size", None, None).is_on


@given(st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.5, 1.0]), min_size=1, max_size=12), st.data())
def test_jumping_moves_to_where_trials_come_in_or_fall_out(sizes: list[float], data: st.DataObject) -> None:
    one = Interval(1.0, 1.0, 1.0)
    trials = [
        Trial(n, "complete", "sampler", "onnx", (), (), size_bytes=s, speedup=one, drop=one)
        for n, s in enumerate(sizes)
    ]
    original = Trial(99, "complete", "baseline", "onnx", (), (), size_bytes=1.0)
    limit = SupposedLimit.of("size", f"{data.draw(st.sampled_from([0.05, 0.2, 0.3, 2.0]))}x", None)
    figures = Figures(limit, trials, original)
    kept = figures.n_kept(limit.bound.bound)
    assert kept == sum(size <= limit.bound.bound for size in sizes)
    for by in (-1, 1):
        value = figures.next_value(limit.bound.bound, by)
        if value is not None:
            after = figures.n_kept(limit.to_figure(value).bound.bound)
            assert after > kept if by > 0 else after < kept


def test_the_nearest_miss_is_over_by_the_least_in_all() -> None:
    one = Interval(1.0, 1.0, 1.0)

    def trial(number: int, size: float) -> Trial:
        return Trial(number, "complete", "sampler", "onnx", (), (), size_bytes=size, speedup=one, drop=one)

    trials = [trial(n, size) for n, size in enumerate([100.0, 60.0, 80.0])]
    found = nearest_miss(trials, trials[0], {"size": parse_bound("size", "0.5x")})
    assert found is not None
    assert (found[0].number, found[1]) == (1, {"size": pytest.approx(0.2)})
    assert nearest_miss(trials[:1], trials[0], {}) is None


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 60)])
def test_moving_a_limit_changes_counts_front_and_best_at_once(
    run: Path, size: tuple[int, int], ascii_only: bool
) -> None:
    attachment = over(run)
    while attachment.poll():
        pass
    state = attachment.state
    assert state.original is not None
    limits = limits_of(state)
    loosened = [each.moved(1, coarse=True) if each.name == "quality_drop" else each for each in limits]
    candidates = Candidates(state.trials.values(), state.original)
    now = candidates.verdicts(state.constraints, state.prefer)
    then = candidates.verdicts(bounds_of(loosened), state.prefer)
    assert now != then

    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(WhatIfScreen())
        await until_shown(pilot, "quality drop", "1pp", f"feasible      {len(now.feasible)}")
        await pilot.press("L")
        arrow = " > " if ascii_only else " → "
        await until_shown(pilot, "1.5pp", f"{len(now.feasible)}{arrow}{len(then.feasible)}")
        await until_shown(pilot, f"#{then.best}")
        if ascii_only:
            assert text_of(pilot).isascii()
        await pilot.press("x")
        await until_shown(pilot, "1pp", f"feasible      {len(now.feasible)}")

    play(script, over(run), run.parent, size=size, ascii_only=ascii_only)


def test_every_key_moves_what_it_says(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(WhatIfScreen())
        await until_shown(pilot, "0.3x")
        for keys, shown in (
            (["j", "h"], "0.29x"),
            (["l", "right"], "0.31x"),
            (["left"], "0.3x"),
            (["shift+right"], "0.35x"),
            (["shift+left", "H"], "0.25x"),
            (["space"], "no limit"),
            (["space", "u"], "22.8MB"),
            (["u"], "0.251x"),
            (["tab", "space"], "0.5x"),
            (["shift+tab", "up", "l"], "1.1pp"),
            (["down"], "0.251x"),
        ):
            await pilot.press(*keys)
            await until_shown(pilot, shown)
        before = text_of(pilot)
        await pilot.press("right_square_bracket")
        await pilot.pause(0.1)
        assert text_of(pilot) != before
        await pilot.press("left_square_bracket", "v")
        await pilot.pause(0.2)
        await pilot.press("4")
        await until_shown(pilot, "Limit on size")
        await pilot.press(*"0MB", "enter")
        await until_shown(pilot, "40MB")
        await pilot.press("equals_sign")
        await until_shown(pilot, "Limit on size")
        await pilot.press("escape")
        await pilot.pause(0.3)
        await pilot.press("q")
        await pilot.pause(0.3)
        assert not isinstance(pilot.app.screen, WhatIfScreen)

    play(script, over(run), run.parent)


def test_a_limit_is_chosen_with_the_mouse(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(WhatIfScreen())
        await until_shown(pilot, "0.3x")
        await pilot.click("#limit-size")
        await pilot.press("h")
        await until_shown(pilot, "0.29x")

    play(script, over(run), run.parent)


def test_nothing_inside_is_said_with_the_nearest_miss(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(WhatIfScreen())
        await until_shown(pilot, "0.3x")
        await pilot.press("j", "0")
        await until_shown(pilot, "Limit on size")
        await pilot.press(*".0001", "enter")
        await until_shown(pilot, "Nothing is inside these limits.", "nearest: #")

    play(script, over(run), run.parent)


def test_enter_makes_it_the_search_s_and_shows_its_answers(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(WhatIfScreen())
        await until_shown(pilot, "0.3x")
        await pilot.press("enter")
        await until_shown(pilot, "These are the search's limits already")
        await pilot.press("j", "h", "enter")
        await until_shown(pilot, "waiting for the search")
        request = search.asked()[-1]
        assert (request["action"], request["name"], request["value"]) == ("set_constraint", "size", "0.29x")
        search.answer(accepted=False, text="the search is ending")
        await until_shown(pilot, "size: the search is ending", "now 0.3x")
        await pilot.press("space", "enter")
        await until_shown(pilot, "waiting for the search")
        assert search.asked()[-1]["value"] is None
        limits = {"quality_drop": "1pp", "size": None, "latency": None, "ram": None, "vram": None}
        search.tell("constraints_changed", constraints=limits)
        search.answer(accepted=True, text="no limit on size any more")
        await until_shown(pilot, "no limit on size any more")
        await pilot.press("enter")
        await until_shown(pilot, "These are the search's limits already")

    with searching(run) as search:
        play(script, over(run), run.parent)


def test_once_the_search_is_over_limits_can_only_be_looked_at(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "done"
    synthetic.write_run(folder, 30, finished=True)

    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(WhatIfScreen())
        await until_shown(pilot, "the search is over")
        await pilot.press("h", "enter")
        await until_shown(pilot, "its limits stay as they are")

    play(script, over(folder), folder.parent)
    assert not (folder / "control.jsonl").exists()


def test_a_run_without_an_original_has_nothing_to_judge_yet(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "young"
    log = synthetic.write_run(folder, 30)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:5]))

    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(WhatIfScreen())
        await until_shown(pilot, "The original is not measured yet", "not measured in this run")
        await pilot.press("h", "right_square_bracket", "u", "space", "enter")
        await pilot.pause(0.2)

    play(script, over(folder), folder.parent, size=(80, 24))
