"""Energy of finalists, where the machine tells it: a processor of ten watts is played by a thread."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command_line import TASK_FILE, CommandLine

WATTS = 10


@pytest.fixture(scope="module")
def powercap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("powercap")
    package = folder / "intel-rapl:0"
    package.mkdir()
    (package / "name").write_text("package-0\n")
    (package / "max_energy_range_uj").write_text("262143328850\n")
    counter, written = package / "energy_uj", package / "new"
    ended = threading.Event()

    def count() -> None:
        while not ended.is_set():
            written.write_text(f"{int(time.monotonic() * WATTS * 1e6) % 262143328851}\n")
            written.rename(counter)
            time.sleep(0.002)

    thread = threading.Thread(target=count)
    thread.start()
    while not counter.exists():
        time.sleep(0.01)
    yield folder
    ended.set()
    thread.join()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_finalists_are_measured_and_everything_that_reports_them_tells_it(cli: CommandLine, powercap: Path) -> None:
    cli.environment["AUTOCOMPRESS_POWERCAP"] = str(powercap)
    told = cli.search("--name", "run", "--trials", 3, "--max-quality-drop", "10pp")
    assert "energy is not measured" not in told.err
    best = cli("best", "run", "--json").json
    energy = best["energy"]
    assert (energy["source"], energy["measured"]) == ("RAPL", True)
    ratio, own, its = (
        energy["ratio"],
        energy["joules_per_sample"]["value"],
        energy["original_joules_per_sample"]["value"],
    )
    assert own > 0
    assert ratio["low"] <= own / its <= ratio["high"]

    rows = cli("show", "run", "--json").json["trials"]
    assert {row["trial"] for row in rows if row["joules_per_sample"] is not None} >= {0, best["trial"]}
    assert rows[0]["joules_per_sample"] == its
    assert "J a sample" in cli("best", "run").out
    report = (cli.runs / "run" / "report" / "report.md").read_text()
    assert "| J | energy |" in report
    assert "J of one sample: measured by RAPL" in report
    finished = json.loads((cli.runs / "run" / "events.jsonl").read_text().splitlines()[-1])
    assert str(best["trial"]) in finished["energies"]

    recipe = cli.runs / "run" / "recipe.yaml"
    plain = yaml.safe_load(recipe.read_text())
    assert plain["measured"]["energy"]["source"] == "RAPL"
    del plain["measured"]["latency"]  # what else the machine does may break these two
    plain["measured"]["energy"]["ratio"] |= {"low": 0.01, "high": 100.0}
    recipe.write_text(yaml.safe_dump(plain))
    checks = cli("verify", recipe, "--task-file", TASK_FILE, "--json").json
    assert "(RAPL)" in checks[-1]["measured"]
    assert (checks[-1]["figure"], checks[-1]["holds"]) == ("energy", True)
    elsewhere = cli("verify", recipe, "--task-file", TASK_FILE, "--json", AUTOCOMPRESS_POWERCAP="/nowhere").json[-1]
    assert elsewhere["measured"].startswith("not measured: there is no RAPL counter under /nowhere")
    assert elsewhere["holds"] is None


def test_where_nothing_tells_energy_that_is_said_once_and_nothing_is_zero(cli: CommandLine) -> None:
    told = cli.search("--name", "run", "--trials", 3, "--max-quality-drop", "10pp")
    assert told.err.count("energy is not measured: there is no RAPL counter under") == 1
    assert cli("best", "run", "--json").json["energy"] is None
    assert {row["joules_per_sample"] for row in cli("show", "run", "--json").json["trials"]} == {None}
    assert "J of one sample" not in (cli.runs / "run" / "report" / "report.md").read_text()
