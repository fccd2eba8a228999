"""The filter language: what terms mean, and what is said where one cannot be read."""

from __future__ import annotations

import pytest

from autocompress.tui.model.filter import Filter, FilterContext, FilterMistake
from autocompress.tui.model.trial import Interval, Trial


def trial(number: int = 1, **fields: object) -> Trial:
    told = {
        "status": "complete",
        "origin": "known_good",
        "format": "onnx",
        "labels": ("ffn 75%", "int8-dynamic"),
        "words": ("ffn width pruning", "int8 dynamic"),
        "size_bytes": 12_000_000.0,
        "size_ratio": 0.25,
        "p50_ms": 4.0,
        "speedup": Interval(2.5, 2.4, 2.6),
        "quality": 0.91,
        "drop": Interval(0.008, 0.002, 0.014),
        "relative_drop": Interval(0.009, 0.002, 0.015),
        "ram_bytes": 300e6,
    }
    return Trial(number, **(told | fields))  # type: ignore[arg-type]


def keeps(text: str, of: Trial | None = None, *, is_rate: bool = True) -> bool:
    context = FilterContext(front={1}, marks={2}, is_rate=is_rate)
    return Filter.read(text).holds(of or trial(), context)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "int8",
        "INT8 onnx",
        '"ffn 75%"',
        '"ffn 75',
        "known_good",
        "known good",
        "ok",
        "front",
        "#1",
        "-failed",
        "-#2",
        "q>=91",
        "q>=91%",
        "q≥90",
        "q=91",
        "quality<=91",
        "drop<=1",
        "drop<=0.8pp",
        "drop<1%",
        "size<13",
        "size<13MB",
        "size<0.3x",
        "size>=0.25×",
        "ms<5",
        "speed>2",
        "speed>2x",
        "ram<=300",
        "ram<0.5GB",
        "n<5",
        "int8 q>=90 ok front -pytorch",
    ],
)
def test_a_trial_passes(text: str) -> None:
    assert keeps(text)


@pytest.mark.parametrize(
    "text",
    [
        "gptq",
        "failed",
        "marked",
        "#2",
        "-int8",
        "-ok",
        "q>91",
        "drop<0.5",
        "size<0.2x",
        "ms<4",
        "vram<100",
        "int8 gptq",
    ],
)
def test_a_trial_is_hidden(text: str) -> None:
    assert not keeps(text)


def test_what_was_not_measured_fulfils_no_comparison() -> None:
    failed = trial(status="failed", size_bytes=None, size_ratio=None, speedup=None, drop=None, quality=None)
    for text in ("q<100", "q>=0", "size<1000", "speed>0", "drop<100"):
        assert not keeps(text, failed)
    assert keeps("failed", failed)
    assert keeps("-ok", failed)


def test_words_look_into_notes_and_ways_to_end() -> None:
    assert keeps("memory", trial(status="out_of_memory"))
    assert keeps("out_of_memory", trial(status="out_of_memory"))
    assert keeps("promising", trial(notes=("Promising on short texts",)))


def test_metrics_that_are_no_rates_are_compared_as_they_are_shown() -> None:
    assert keeps("q<13 drop<=1", trial(quality=12.5, drop=Interval(0.9, 0.5, 1.3)), is_rate=False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("q>=", "needs a number"),
        ("q>=abc", "needs a number"),
        ("q", "needs something to compare"),
        ("foo>3", "no figure “foo”"),
        ("<3", "begins with no figure"),
        ("size<3q", "unit"),
        ("ms<5MB", "no unit or ms"),
        ("#x", "write #12"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(text: str, told: str) -> None:
    with pytest.raises(FilterMistake) as mistake:
        Filter.read(f"int8 {text}")
    assert told in str(mistake.value)
    assert "\n" not in str(mistake.value)
