from __future__ import annotations

from dataclasses import replace

from run_example import CERTIFICATE, example_results, measurement, trial

from autocompress.records import Status, TrialError
from autocompress.report.markdown import run_report

RESULTS = example_results()


def report(**changes: object) -> str:
    results = replace(RESULTS, **changes)  # type: ignore[arg-type]
    commands = ["autocompress search spec.yaml --name sentiment"]
    return run_report(results, run="sentiment", model="models/m", task="text-classification", commands=commands)


def headings(text: str) -> list[str]:
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def test_the_report_tells_what_was_asked_what_is_best_and_how_to_do_it_again() -> None:
    text = report()
    assert headings(text) == [
        "The best recipe",
        "All trials",
        "The front",
        "Look twice",
        "Trials without figures",
        "Do it again",
        "Versions",
    ]
    assert "- Limits: quality drop ≤ 1 pp; size ≤ 0.5×" in text
    assert "**trial 2: int8 dynamic, as onnx: 0.254× the size" in text
    assert CERTIFICATE.sentence in text
    assert "onnxruntime 1.31.1" in text


def test_without_a_certificate_the_best_is_observed_only() -> None:
    assert "observed only, not certified" in report(certificate=None)


def test_without_a_feasible_trial_the_nearest_misses_take_its_place() -> None:
    text = report(best=None, records=tuple(r for r in RESULTS.records if not r.feasible), front=frozenset())
    assert "- No trial kept every limit" in text
    assert "- Near miss: trial 7" in text


def test_text_from_a_trial_cannot_become_markup() -> None:
    hostile = TrialError(message="<script>alert(1)</script>\n# heading\n```", stage="export")
    record = trial(1, ["rtn"], "onnx", status=Status.FAILED, error=hostile)
    text = report(records=(trial(0, [], "pytorch", measurement(size=1)), record), best=None)
    assert "<script>" not in text.replace("\\<", "")
    assert "\n# heading" not in text
    assert all(line.startswith("```") for line in text.splitlines() if "```" in line)
