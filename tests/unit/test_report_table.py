from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from run_example import CONSTRAINTS, ORIGINAL_BYTES, example_records, example_results, measurement, trial

from autocompress.records import Energy, Estimate, Status, TrialError, TrialRecord
from autocompress.report.results import Results
from autocompress.report.table import Standing, csv_table, json_rows, legend, markdown_table, result_rows, rich_table

RESULTS = example_results()


def printed(results: Results, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    console.print(rich_table(results, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_trial_has_a_row_that_says_how_it_stands() -> None:
    standings = {row.trial: row.standing for row in result_rows(RESULTS)}
    assert standings[0] is Standing.ORIGINAL
    assert {number for number, kind in standings.items() if kind is Standing.FRONT} == RESULTS.front
    assert standings[3] is Standing.FEASIBLE
    assert standings[5] is Standing.VIOLATES
    assert standings[8] is Standing.UNSUPPORTED
    assert standings[9] is Standing.FAILED


def test_a_trial_that_was_cancelled_did_not_fail() -> None:
    cancelled = trial(12, [], "onnx", status=Status.CANCELLED)
    row = result_rows(replace(RESULTS, records=(*RESULTS.records, cancelled)))[-1]
    assert row.standing is Standing.CANCELLED
    assert legend([row]) == "○ cancelled · – not measured"


def test_the_legend_tells_why_some_trials_have_no_figure_of_memory() -> None:
    with_memory, without = result_rows(RESULTS)[2], result_rows(RESULTS)[6]
    assert legend([with_memory]).endswith("– not measured")
    assert legend([without]).endswith("– not measured (memory: of the front at the end, or of all where it is limited)")


def test_what_was_not_measured_is_null_for_programs_and_a_dash_for_people() -> None:
    rows = json_rows(RESULTS)
    assert rows[10]["latency_ms"] is None
    assert rows[10]["quality"] is None
    assert rows[8]["size_bytes"] is None
    line = next(line for line in markdown_table(RESULTS).splitlines() if line.startswith("| ⊘ "))
    assert line.count("–") >= 7
    assert "| 0 |" not in line


def test_the_csv_holds_the_figures_in_full() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_table(RESULTS))))
    assert len(rows) == len(RESULTS.records)
    assert int(rows[2]["size_bytes"]) == round(ORIGINAL_BYTES * 0.254)
    assert rows[10]["speedup"] == ""
    assert float(rows[5]["quality_drop_high"]) == pytest.approx(0.04)
    assert all(None not in row for row in rows)


def test_the_json_rows_are_json() -> None:
    assert json.loads(json.dumps(json_rows(RESULTS))) == json_rows(RESULTS)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(len(line.rstrip()) for line in printed(RESULTS, width).splitlines()) <= width


def test_a_narrow_terminal_loses_memory_before_quality() -> None:
    narrow, wide = printed(RESULTS, 80), printed(RESULTS, 160)
    assert "RAM MB" in wide
    assert "VRAM MB" in wide
    assert "VRAM" not in narrow
    assert all(header in narrow for header in ("size", "speed", "accuracy", "drop pp"))


def test_the_best_trial_is_marked_without_colour() -> None:
    assert " 2← " in printed(RESULTS, 120)
    assert "**2←**" in markdown_table(RESULTS)
    assert "← the best" in legend(result_rows(RESULTS))


def test_each_device_has_a_latency_column_of_its_own() -> None:
    original = trial(0, [], "pytorch", measurement(size=1))
    figures = measurement(size=0.5, vram=2_000_000_000)
    assert figures.latency is not None
    on_gpu = figures.model_copy(update={"latency": figures.latency.model_copy(update={"clock": "device_events"})})
    table = markdown_table(
        Results((original, trial(1, ["fp16"], "pytorch", on_gpu)), frozenset(), CONSTRAINTS, original)
    )
    assert "| CPU ms | GPU ms |" in table
    assert "| 2000 |" in table


def test_markup_in_names_stays_text() -> None:
    record = trial(1, [], "[red]|x", measurement(size=0.5))
    results = Results((example_records()[0], record), frozenset(), CONSTRAINTS, example_records()[0])
    assert "[red]|x" in printed(results, 120)
    lines = markdown_table(results).splitlines()
    assert "\\|x" in lines[3]


def test_a_run_without_any_figures_still_has_a_table() -> None:
    failed = trial(0, [], "pytorch", status=Status.CRASHED, error=TrialError(message="killed"))
    table = markdown_table(Results((failed,), frozenset(), CONSTRAINTS, failed))
    assert "| ! | 0 | original | pytorch |" in table


def test_an_empty_run_has_an_empty_table() -> None:
    nothing: tuple[TrialRecord, ...] = ()
    results = Results(nothing, frozenset(), CONSTRAINTS, example_records()[0])
    assert csv_table(results) == "trial\n"
    assert printed(results, 80)


def energy(joules: float, ratio: float, *, measured: bool) -> Energy:
    def sure(value: float) -> Estimate:
        return Estimate(value=value, low=value, high=value)

    source = "RAPL" if measured else "codecarbon estimate"
    its, own, over = sure(joules / ratio), sure(joules), sure(ratio)
    return Energy(joules_per_sample=own, original_joules_per_sample=its, ratio=over, source=source, measured=measured)


@pytest.mark.parametrize(
    ("measured", "told"), [(True, "J of one sample: measured by RAPL"), (False, "estimated by codecarbon")]
)
def test_energy_has_columns_where_it_is_known_and_says_whether_it_was_measured(measured: bool, told: str) -> None:
    finals = {2: energy(0.12, 0.3, measured=measured), 3: energy(0.15, 0.35, measured=measured)}
    table = markdown_table(replace(RESULTS, energies=finals))
    cells = {line.split(" | ")[1].strip("*←"): line.replace("*", "") for line in table.splitlines() if " | " in line}
    assert "| J | energy |" in table
    assert "| 0.400 | – |" in cells["0"]  # as it was beside the first finalist
    assert "| 0.120 | 0.300× |" in cells["2"]
    assert "| 0.150 | 0.350× |" in cells["3"]
    assert "| – | – |" in cells["4"]
    assert told in table


def test_energy_has_no_columns_where_nothing_tells_it() -> None:
    table = markdown_table(RESULTS)
    assert " J " not in table
    assert "energy" not in table
