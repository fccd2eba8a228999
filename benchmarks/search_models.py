"""Search over the models that `recipes/` has specifications for, one after another, and write what came of it.

Needs AUTOCOMPRESS_ASSETS, the folder with these models and their data. Runs go to `runs/` as always (or to
AUTOCOMPRESS_RUNS); nothing else should keep the machine busy meanwhile.

Run: python benchmarks/search_models.py --write docs/results.md
     python benchmarks/search_models.py --reuse --write docs/results.md minilm-sst2 fashion-resnet
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from known_models import RECIPES, known_models

from autocompress.cli.result import results_of
from autocompress.event_log import read_events
from autocompress.events import RunFinished, RunStarted
from autocompress.objectives import size_ratio
from autocompress.records import TrialRecord
from autocompress.report.markdown import run_report
from autocompress.report.numbers import ratio
from autocompress.report.results import Results
from autocompress.report.words import method_in_words, quality_change
from autocompress.runs import RunFolder, fresh_name
from autocompress.search.session import RunView, view_run

NOTHING_FEASIBLE = 1

HEADER = """# Searches over seven models

Written by `python benchmarks/search_models.py --write docs/results.md`; not edited by hand. One search after another,
with the specifications in `recipes/`; a latency with `~` was timed while others had the cores. What the figures mean is
told in [measuring.md](measuring.md). Size and speed are against the original in PyTorch; speed is that of the runtime
*and* of the compression, and the row *export only* tells the two apart.

| model | trials | took | best recipe | size | speed | quality | certified | date |
|---|---:|---:|---|---:|---:|---|---|---|
"""


@dataclass(frozen=True)
class FinishedSearch:
    """One search that ran to its end."""

    model: str
    view: RunView

    @cached_property
    def results(self) -> Results:
        """Its trials and the verdicts on them."""
        return results_of(self.view)

    @property
    def seconds(self) -> float:
        """How long it searched, all its sessions together."""
        total, since = 0.0, None
        for event in read_events(self.view.folder.events):
            if isinstance(event, RunStarted):
                since = event.time
            elif isinstance(event, RunFinished) and since is not None:
                total, since = total + event.time - since, None
        return total

    @property
    def date(self) -> str:
        """The day on which it began."""
        began = next(event.time for event in read_events(self.view.folder.events))
        return datetime.fromtimestamp(began, tz=UTC).strftime("%Y-%m-%d")

    def row(self) -> str:
        """Its line of the overview."""
        best, original = self.results.best_record, self.view.original
        told = ["nothing feasible", "–", "–", "–", "–"]
        if best is not None and best.measurement is not None and best.measurement.quality is not None:
            certificate = self.results.certificate
            told = [
                f"{method_in_words(best, self.results)}, as {best.recipe.format}",
                ratio(size_ratio(best, original)),
                self._speed(best),
                quality_change(best.measurement.quality, self.results),
                "yes" if certificate and certificate.certified else "observed only",
            ]
        anchor = self.model.lower()
        trials = len(self.view.records)
        return f"| [{self.model}](#{anchor}) | {trials} | {self.seconds:.0f} s | {' | '.join(told)} | {self.date} |\n"

    def _speed(self, best: TrialRecord) -> str:
        """As timed again in fresh processes at the search's end, with its interval."""
        latency = best.measurement and best.measurement.latency
        if not latency:
            return "–"
        value, low, high = (ratio(getattr(latency.speedup, name)) for name in ("value", "low", "high"))
        return f"{value} [{low}, {high}]{'~' if latency.contended else ''}"

    def section(self) -> str:
        """The run's own report, one level down."""
        prepared = self.view.study.prepared
        report = run_report(
            self.results,
            run=self.model,
            model=f"models/{Path(self.view.spec.model.path).name}",
            task=prepared.facts.task if prepared else "",
            environment=self.view.original.environment,
            commands=(f"autocompress search recipes/{self.model}.yaml --trials {len(self.view.records)}",),
        )
        return re.sub(r"^#", "##", report, flags=re.MULTILINE)


def finished_run(model: str) -> RunView | None:
    """The newest run of a model's specification that ended."""
    for folder in RunFolder.all():
        if re.fullmatch(rf"{re.escape(model)}(-\d+)?", folder.name):
            view = view_run(str(folder.path))
            if view.outcome is not None:
                return view
    return None


def search(model: str, trials: int | None) -> RunView:
    """Run a specification's search in a process of its own.

    Raises:
        subprocess.CalledProcessError: it did not get to its end.
    """
    name = fresh_name(model)
    command = [sys.executable, "-m", "autocompress", "search", str(RECIPES / f"{model}.yaml"), "--name", name]
    command += ["--trials", str(trials)] if trials else []
    ended = subprocess.run(command, stdout=sys.stderr, check=False)
    if ended.returncode not in (0, NOTHING_FEASIBLE):
        raise subprocess.CalledProcessError(ended.returncode, command)
    return view_run(name)


def main() -> int:
    """Search, and write the document; exit code 1 where a search did not get to its end."""
    known = known_models()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(known)}; all when none is given")
    parser.add_argument("--write", type=Path, required=True, help="the Markdown file to write")
    parser.add_argument("--reuse", action="store_true", help="take the newest finished run where there is one")
    parser.add_argument("--trials", type=int, help="instead of what the specification says")
    options = parser.parse_args()
    unknown = sorted(set(options.models) - set(known))
    if unknown:
        parser.error(f"no specification for {', '.join(unknown)}; known: {', '.join(known)}")
    finished, failed = [], []
    for model in options.models or known:
        view = finished_run(model) if options.reuse else None
        try:
            finished.append(FinishedSearch(model, view or search(model, options.trials)))
        except subprocess.CalledProcessError as problem:
            print(f"{model}: {problem}", file=sys.stderr)
            failed.append(model)
            continue
        # Written after every search, so that an interruption loses none.
        rows, sections = "".join(one.row() for one in finished), "\n".join(one.section() for one in finished)
        options.write.write_text(f"{HEADER}{rows}\n{sections}", encoding="utf-8")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
