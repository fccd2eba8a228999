"""Folding events: any split of the stream gives the same, lines that cannot be read do no harm, limits are rejudged."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompress.events import (
    ConstraintsChanged,
    ControlAnswered,
    ModelRead,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    StateChanged,
    TrialFinished,
    TrialNoted,
    TrialsChanged,
    TrialStarted,
)
from autocompress.limits import parse_bound
from autocompress.objectives import judged, pareto_front, ranking
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.recipe_words import step_in_words, step_label
from autocompress.records import (
    Energy,
    Estimate,
    Latency,
    Measurement,
    Memory,
    MemoryFigures,
    Quality,
    Samples,
    Status,
    TrialError,
    TrialRecord,
)
from autocompress.spec import Constraints
from autocompress.tui.attachment import Attachment
from autocompress.tui.model.judging import Candidates
from autocompress.tui.model.run_state import FINISHED, PAUSED, RUNNING, STARTING, Line, RunState
from autocompress.tui.model.trial import EnergyFigure, Interval
from autocompress.tui.theme import Glyphs
from autocompress.tui.widgets.detail_pane import detail_lines
from autocompress.tui.widgets.now_pane import now_title
from autocompress.tui.widgets.run_header import Pulse, first_line, second_line


@pytest.fixture(scope="module")
def stream(synthetic: ModuleType) -> list[bytes]:
    events = [*synthetic.synthetic_events(40, 3), {"seq": 9, "time": 2e9, "kind": "note", "text": "hello"}]
    limits = {"quality_drop": "0.5pp", "size": "0.2x", "latency": "0.6x", "ram": None, "vram": None}
    events.insert(-30, {"seq": 8, "time": 1.9e9, "kind": "constraints_changed", "constraints": limits})
    return [json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events]


def folded(lines: list[bytes], cuts: list[int] | None = None) -> RunState:
    state = RunState()
    placed: list[Line] = [(line, None) for line in lines]
    ends = [0, *sorted(cuts or []), len(placed)]
    for start, end in pairwise(ends):
        state.take(placed[start:end])
    return state


def facts(state: RunState) -> dict[str, Any]:
    """All that the screens draw; not the counters of changes, which depend on how lines came."""
    hidden = ("revision", "trials_revision", "front", "_stage_lines")
    return {name: value for name, value in vars(state).items() if name not in hidden} | {"front": state.front.numbers}


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_however_the_stream_is_cut_the_state_is_the_same(stream: list[bytes], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=25))
    assert facts(folded(stream, cuts)) == facts(folded(stream))


def test_lines_that_cannot_be_read_are_passed_over(stream: list[bytes]) -> None:
    strange = [
        b"\n",
        b"{torn\n",
        b"[1, 2]\n",
        b'"text"\n',
        b'{"kind":"of another version","seq":1,"time":1}\n',
        b'{"kind":"trial_finished","seq":1,"time":1}\n',
        b'{"kind":"trial_finished","seq":1,"time":1,"record":{"number":"x"},"labels":[],"words":[]}\n',
        b'{"seq":1,"time":2,"kind":"stage_progress","number":3}\n',
        b"\xff\xfe\n",
    ]
    mixed = [each for index, line in enumerate(stream) for each in (line, strange[index % len(strange)])]
    assert facts(folded(mixed)) == facts(folded(stream))


def test_stages_of_trials_that_ended_are_not_kept_and_those_of_the_running_one_are(stream: list[bytes]) -> None:
    state = folded(stream)
    running = state.running
    assert running is not None
    assert running.number == 39
    begun = [stage for stage in running.stages if stage.started is not None]
    assert [stage.seconds is not None for stage in begun] == [True, True, False]
    assert begun[-1].share == pytest.approx(0.25)
    assert [stage.name for stage in running.stages][-3:] == ["latency", "memory", "quality"]


def test_of_several_running_trials_each_keeps_its_own_stages(stream: list[bytes]) -> None:
    beside = [
        b'{"seq":1,"time":2000000000.0,"kind":"trial_started","number":40,"recipe":"fp16","origin":"sampler",'
        b'"format":"onnx","labels":["fp16"],"words":[],"stages":["export"]}\n',
        b'{"seq":1,"time":2000000001.0,"kind":"stage_started","number":40,"stage":"export"}\n',
        b'{"seq":1,"time":2000000002.0,"kind":"stage_progress","number":39,"stage":"export","done":9,"total":12}\n',
        b'{"seq":1,"time":2000000003.0,"kind":"stage_finished","number":40,"stage":"export","seconds":2.0}\n',
    ]
    for batches in ([[*stream, *beside]], [stream, beside], [[line] for line in (*stream, *beside)]):
        state = RunState()
        for batch in batches:
            state.take((line, None) for line in batch)
        first, second = state.all_running.values()
        assert (first.number, second.number, state.running) == (39, 40, first)
        assert next(stage for stage in first.stages if stage.name == "export").share == pytest.approx(0.75)
        assert second.stages[0].seconds == 2.0


def test_a_note_about_another_trial_does_not_lose_the_running_ones_stages(stream: list[bytes]) -> None:
    noted = b'{"seq":1,"time":2000000000.0,"kind":"trial_noted","number":3,"text":"keep"}\n'
    assert folded([*stream, noted]).running == folded(stream).running


@pytest.mark.parametrize("n_heartbeats_last", [0, 2])
def test_the_last_sign_of_life_is_the_last_event_of_any_kind(stream: list[bytes], n_heartbeats_last: int) -> None:
    beats = [b'{"seq":1,"time":%d,"kind":"heartbeat","ram_bytes":1}\n' % (2_100_000_000 + n) for n in range(3)]
    stage = b'{"seq":1,"time":2100000001.5,"kind":"stage_progress","number":39,"stage":"export","done":4,"total":12}\n'
    lines = [*stream, *beats[:2], stage, *beats[2:]] if n_heartbeats_last else [*stream, *beats[:2], stage]
    assert folded(lines).last_event == (2_100_000_002 if n_heartbeats_last else 2_100_000_001.5)
    assert facts(folded(lines, list(range(len(lines))))) == facts(folded(lines))


def test_a_log_that_was_replaced_is_folded_from_its_start(tmp_path: Path, stream: list[bytes]) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"".join(stream))
    attachment = Attachment("run", log, tmp_path)
    while attachment.poll():
        pass
    assert attachment.state.n_ended == 39
    before = attachment.record(attachment.state.trials[7])
    assert before["number"] == 7
    log.write_bytes(b"".join(stream[:40]))
    while attachment.poll():
        pass
    assert facts(attachment.state)["counts"] == facts(folded(stream[:40]))["counts"]
    assert attachment.state.n_ended < 39


def record(number: int, size: float | None, speed: float, drop: float, **others: Any) -> TrialRecord:
    """A trial of given figures relative to an original of 100 MB, 10 ms and 0.9."""

    def around(value: float) -> Estimate:
        return Estimate(value=value, low=value - 0.01, high=value + 0.01)

    recipe = Recipe(steps=steps_from_plain([{"rtn": {"bits": 4}}] if number else []), format="pytorch")
    if size is None:
        error = TrialError(message="no memory", remedy="Buy some.")
        return TrialRecord(number=number, recipe=recipe, status=Status.OUT_OF_MEMORY, error=error)
    measurement = Measurement(
        size_bytes=round(size * 100_000_000),
        quality=Quality(
            metric="accuracy",
            value=0.9 - drop,
            higher_is_better=True,
            n_samples=100,
            part="search",
            drop=around(drop),
            relative_drop=around(drop / 0.9),
        ),
        latency=Latency(
            candidate_ms=Samples(values=tuple(10 / speed * k for k in (0.9, 1.0, 1.2)), unit="ms"),
            baseline_ms=None,
            speedup=around(speed),
            clock="wall",
            threads=1,
        ),
        ram=Memory(peak_bytes=round(size * 3e8), imports_bytes=1),
    )
    origin = "baseline" if number == 0 else "sampler"
    return TrialRecord(
        number=number,
        recipe=recipe,
        status=Status.COMPLETE,
        origin=origin,
        measurement=measurement,
        wall_seconds=2.0,
        **others,
    )


def lines_of(*events: Any) -> list[bytes]:
    """As the search writes them."""
    return [event.model_dump_json().encode() + b"\n" for event in events]


def started(limits: Constraints, trials: int = 20) -> RunStarted:
    return RunStarted(
        seq=0,
        time=100.0,
        name="run",
        model="models/tiny",
        trials=trials,
        timeout_seconds=None,
        constraints=limits,
        prefer="balanced",
        device="cpu",
        threads=1,
        methods=("rtn",),
        formats=("pytorch",),
    )


def ended(trial: TrialRecord) -> TrialFinished:
    steps = trial.recipe.steps
    return TrialFinished(
        seq=1,
        time=101.0 + trial.number,
        record=trial.slim(),
        labels=tuple(map(step_label, steps)),
        words=tuple(map(step_in_words, steps)),
    )


def constraints(**written: str) -> Constraints:
    return Constraints.model_validate(written)


figures = st.tuples(
    st.one_of(st.none(), st.sampled_from([0.1, 0.2, 0.3, 0.5, 1.1])),
    st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    st.sampled_from([-0.01, 0.0, 0.005, 0.01, 0.02]),
)
limits = st.fixed_dictionaries(
    {},
    optional={
        "quality_drop": st.sampled_from(["1%", "1pp", "0.005", "0pp"]),
        "size": st.sampled_from(["0.3x", "25MB", "1x"]),
        "latency": st.sampled_from(["0.5x", "6ms"]),
        "ram": st.sampled_from(["0.5x", "100MB"]),
        "vram": st.sampled_from(["1GB"]),
    },
)


@settings(deadline=None, max_examples=60)
@given(drawn=st.lists(figures, max_size=12), first=limits, then=limits)
def test_trials_are_judged_as_the_search_judges_them_and_anew_when_limits_change(
    drawn: list[tuple[float | None, float, float]], first: dict[str, str], then: dict[str, str]
) -> None:
    original = record(0, 1.0, 1.0, 0.0)
    records = [original, *(record(number, *each) for number, each in enumerate(drawn, start=1))]
    lines = lines_of(
        started(constraints(**first)),
        *(ended(each) for each in records),
        ConstraintsChanged(seq=2, time=500.0, constraints=constraints(**then)),
    )
    for written, state in ((first, folded(lines[:-1])), (then, folded(lines))):
        expected = [judged(each, constraints(**written), original) for each in records]
        for each in expected:
            if each.measurement is not None:
                assert state.trials[each.number].violations == pytest.approx(each.violations)
            assert state.trials[each.number].is_feasible == each.feasible
        order = ranking(expected, original, "balanced")
        assert state.front.numbers == pareto_front(expected, original)
        assert state.best == (order[0].number if order else None)
        assert state.original is not None
        bounds = {name: parse_bound(name, text) for name, text in written.items()}
        seen = Candidates(state.trials.values(), state.original).verdicts(bounds, "balanced")
        assert (seen.front, seen.best) == (state.front.numbers, state.best)
        assert [trial.number for trial in seen.ranking] == [each.number for each in order]
        assert seen.feasible == {each.number for each in expected if each.feasible}
    supposed = folded(lines[:-1]).under({name: parse_bound(name, text) for name, text in then.items()})
    assert (supposed.front.numbers, supposed.best) == (folded(lines).front.numbers, folded(lines).best)


def test_looking_at_other_limits_leaves_the_run_as_it_is() -> None:
    lines = lines_of(
        started(constraints(size="0.3x")), *(ended(record(n, 1.0 / (n + 1), n + 1.0, 0.0)) for n in range(6))
    )
    state = folded(lines)
    before = facts(state)
    other = state.under({"size": parse_bound("size", "0.2x")})
    assert facts(state) == before
    assert (state.counts, state.best) == (other.counts, other.best)
    assert other.trials[4].violations != state.trials[4].violations


def test_the_events_of_a_search_give_what_the_screens_show() -> None:
    lines = lines_of(
        started(constraints(size="0.3x", quality_drop="1pp")),
        ModelRead(
            seq=1,
            time=101.0,
            task="text-classification",
            architecture="Tiny",
            n_parameters=10,
            metric="accuracy",
            metric_is_rate=True,
            higher_is_better=True,
            n_samples={"search": 100},
        ),
        ended(record(0, 1.0, 1.0, 0.0)),
        TrialStarted(
            seq=3,
            time=103.0,
            number=1,
            recipe="rtn 4 → pytorch",
            origin="sampler",
            format="pytorch",
            labels=("rtn 4",),
            words=("4-bit rtn",),
            stages=("load model", "rtn", "export"),
        ),
        StageStarted(seq=4, time=104.0, number=1, stage="load model"),
        StageFinished(seq=5, time=105.0, number=1, stage="load model", seconds=1.0, cached=True),
        StateChanged(seq=6, time=106.0, state="paused", why="asked to"),
    )
    state = folded(lines)
    assert (state.name, state.total, state.architecture, state.activity, state.why) == (
        *("run", 20, "Tiny"),
        *(PAUSED, "asked to"),
    )
    assert state.running is not None
    assert (state.running.label, state.running.stages[0].cached) == ("rtn 4 → pytorch", True)
    trial = folded(
        [
            *lines,
            *lines_of(
                ended(record(1, 0.25, 4.0, 0.005, notes=("by hand",))),
                TrialNoted(seq=8, time=110.0, number=1, text="keep"),
                TrialsChanged(seq=9, time=111.0, trials=40),
                ControlAnswered(seq=10, time=112.0, id="a1", action="note", accepted=True, text="kept"),
                ended(record(2, None, 1.0, 0.0)),
                RunFinished(
                    seq=11, time=113.0, reason="all done", best=1, certified=False, certificate="Observed only."
                ),
            ),
        ]
    )
    one = trial.trials[1]
    assert (one.size_ratio, one.p50_ms, one.notes) == (0.25, pytest.approx(2.5), ("by hand", "keep"))
    assert one.speedup is not None
    assert (one.speedup.value, one.labels, one.format) == (4.0, ("rtn 4",), "pytorch")
    assert (trial.total, trial.activity, trial.running) == (40, FINISHED, None)
    assert trial.ending is not None
    assert (trial.ending.best, trial.ending.certified, trial.ending.sentence) == (1, False, "Observed only.")
    assert (trial.best, trial.trials[2].error, trial.counts) == (1, "no memory", {"complete": 2, "out_of_memory": 1})
    assert [(said.request_id, said.accepted) for said in trial.said] == [("a1", True)]


def test_a_resumed_run_is_no_longer_over() -> None:
    first = lines_of(
        started(constraints()),
        ended(record(0, 1.0, 1.0, 0.0)),
        RunFinished(seq=2, time=102.0, reason="done", best=None),
    )
    assert folded(first).activity == FINISHED
    again = folded([*first, *lines_of(started(constraints(size="0.3x"), trials=60))])
    assert (again.activity, again.ending, again.total, again.n_ended) == (STARTING, None, 60, 1)
    going = folded(
        [
            *first,
            *lines_of(
                started(constraints(), trials=60),
                TrialStarted(
                    seq=5,
                    time=200.0,
                    number=1,
                    recipe="",
                    origin="sampler",
                    format="onnx",
                    labels=(),
                    words=(),
                    stages=(),
                ),
            ),
        ]
    )
    assert going.activity == RUNNING


def test_a_trial_that_the_end_of_a_search_cut_off_is_not_counted_beside_its_repetition(stream: list[bytes]) -> None:
    finished = next(json.loads(line) for line in reversed(stream) if b'"kind":"trial_finished"' in line)
    finished["record"] |= {"number": 90, "status": "crashed", "measurement": None, "wall_seconds": None}
    before, after = folded(stream), folded([*stream, json.dumps(finished).encode() + b"\n"])
    assert after.n_ended == before.n_ended + 1
    assert after.n_tried == before.n_tried


def given_up(number: int, **others: Any) -> TrialRecord:
    whole = record(number, 0.2, 4.0, 0.0, **others)
    assert whole.measurement is not None
    return whole.model_copy(update={"measurement": whole.measurement.model_copy(update={"cut_short": "too slow"})})


def test_what_was_given_up_is_on_no_front_and_counts_once_when_it_is_measured_whole() -> None:
    lines = lines_of(started(constraints()), *map(ended, (record(0, 1.0, 1.0, 0.0), record(1, 0.5, 2.0, 0.0))))
    before = folded([*lines, *lines_of(ended(given_up(2)))])
    assert (before.front.numbers & {1, 2}, before.best, before.n_tried) == ({1}, 1, 3)
    assert Candidates(before.trials.values(), before.trials[0]).verdicts({}, "balanced").best == 1
    again = record(3, 0.2, 4.0, 0.0).model_copy(update={"origin": "retry"})
    after = folded([*lines, *lines_of(ended(given_up(2)), ended(again))])
    assert (after.best, after.n_tried, after.n_ended) == (3, 3, 4)
    slower = record(4, 0.2, 3.0, 0.0).model_copy(update={"origin": "retry"})
    last = folded([*lines, *lines_of(ended(given_up(2)), ended(again), ended(slower))])
    assert (last.best, last.front.numbers & {3, 4}, last.n_tried) == (4, {4}, 3)
    assert Candidates(last.trials.values(), last.trials[0]).verdicts({}, "balanced").best == 4


def test_what_was_measured_at_the_end_takes_the_place_of_what_the_search_saw() -> None:
    trials = [record(number, 0.5, 2.0, 0.0) for number in range(3)]
    assert trials[1].measurement is not None
    assert trials[1].measurement.latency is not None
    precise = trials[1].measurement.latency.model_copy(
        update={"speedup": Estimate(value=1.8, low=1.7, high=1.9), "processes": 5}
    )
    memory = MemoryFigures(ram=Memory(peak_bytes=5_000_000, imports_bytes=1), vram=None)
    end = RunFinished(
        seq=9, time=200.0, reason="enough", best=1, finalists=(1,), latencies={1: precise}, memories={2: memory}
    )
    state = folded(lines_of(started(constraints()), *map(ended, trials), end))
    assert (state.trials[1].speedup, state.trials[1].timed_by) == (Interval(1.8, 1.7, 1.9), 5)
    assert (state.trials[2].timed_by, state.trials[2].ram_bytes) == (1, 5_000_000)


def test_energy_of_the_finalists_is_known_once_the_search_has_ended_and_the_originals_with_it() -> None:
    def sure(value: float) -> Estimate:
        return Estimate(value=value, low=value, high=value)

    told = Energy(
        joules_per_sample=sure(0.1),
        original_joules_per_sample=sure(0.4),
        ratio=Estimate(value=0.25, low=0.2, high=0.3),
        source="RAPL",
        measured=True,
    )
    lines = lines_of(
        started(constraints()),
        *(ended(record(number, 0.5, 2.0, 0.0)) for number in range(3)),
        RunFinished(seq=9, time=200.0, reason="enough", best=1, finalists=(1,), energies={1: told}),
    )
    assert all(trial.energy is None for trial in folded(lines[:-1]).trials.values())
    trials = folded(lines).trials
    assert trials[1].energy == EnergyFigure(0.1, Interval(0.25, 0.2, 0.3), "RAPL")
    assert trials[0].energy == EnergyFigure(0.4, None, "RAPL")
    assert trials[2].energy is None


def test_the_final_judging_is_named_with_the_finalist_that_is_judged() -> None:
    def stage(number: int, name: str, when: float) -> StageStarted:
        return StageStarted(seq=1, time=when, number=number, stage=name)

    reading = [started(constraints()), stage(0, "load model", 100.5)]
    state = folded(lines_of(*reading))
    assert now_title(state, Glyphs(), Pulse(True, 101.5)).plain == "reading the model and the data  0:01"
    trials = [ended(record(number, 0.5, 2.0, 0.0)) for number in range(3)]
    for number, told in ((0, "#0 "), (2, "#2 ")):
        judging = [stage(each, "quality", 200.0) for each in range(0, number + 1, 2)]
        state = folded(lines_of(*reading, *trials, *judging))
        title = now_title(state, Glyphs(), Pulse(True, 205.0)).plain
        assert title.startswith(f"the final judging on the holdout: {told}")
        assert title.endswith("  0:05")
        assert state.running is not None
        assert not state.running.is_trial


def test_the_time_of_a_search_that_was_resumed_goes_on_where_it_ended() -> None:
    again = started(constraints()).model_copy(update={"time": 5_000.0})
    lines = lines_of(started(constraints()), *(ended(record(number, 0.5, 2.0, 0.0)) for number in range(9)), again)
    head = first_line("run", folded(lines), Glyphs(), 120, Pulse(True, 5_002.0)).plain
    assert "  0:11" in head  # nine seconds until the last trial had ended, and two since


def test_the_header_leaves_out_what_does_not_fit_rather_than_cut_it() -> None:
    state = folded(lines_of(started(constraints()), *(ended(record(number, 0.5, 2.0, 0.0)) for number in range(9))))
    whole = second_line(state, Glyphs(), 99).plain
    assert "improved by #" in whole
    lines = [second_line(state, Glyphs(), width).plain for width in range(40, 99)]
    assert all(len(line) <= width for width, line in zip(range(40, 99), lines, strict=True))
    assert {line for line in lines if "improved" in line} == {whole}
    assert all(whole.startswith(line) for line in lines)


def test_beside_each_other_the_interval_and_the_certificate_say_which_part_they_are_of() -> None:
    sentence = "Certified: with 95% confidence the accuracy drop is at most 0.6 pp (359 holdout samples)."
    lines = lines_of(
        started(constraints()),
        *(ended(record(number, 0.5, 2.0, 0.01)) for number in range(3)),
        RunFinished(seq=9, time=200.0, reason="enough", best=1, certified=True, certificate=sentence),
    )
    state = folded(lines)
    told = [line.plain for line in detail_lines(state, state.trials[1], {}, [], Glyphs(), 50, is_tall=True)]
    assert next(line for line in told if line.startswith("quality")).endswith("search part")
    at = next(at for at, line in enumerate(told) if line.startswith("On the holdout: Certified"))
    assert " ".join(told[at : at + 3]).startswith(f"On the holdout: {sentence}")
    assert max(len(line) for line in told[at : at + 2]) <= 50


def test_a_note_is_no_sign_of_life() -> None:
    lines = lines_of(started(constraints()), ended(record(0, 0.5, 2.0, 0.0)))
    late = TrialNoted(seq=9, time=9_000.0, number=0, text="written the day after")
    state = folded([*lines, *lines_of(late)])
    assert state.last_event == folded(lines).last_event
    assert state.trials[0].notes == ("written the day after",)
