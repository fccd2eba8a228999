"""The last judgement: the finalists on the holdout part, which nothing was chosen by, and by precise figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from autocompress.jobs import Answer, Failed, Figure, Measured, MeasureJob, Prepared, Workspace
from autocompress.measure.certify import certify
from autocompress.measure.latency_pool import in_fresh_processes
from autocompress.measure.outcomes import Outcomes
from autocompress.outcome import Finalist
from autocompress.records import Certificate, Latency, MemoryFigures, TrialRecord
from autocompress.runs import RunFolder
from autocompress.spec import QualityLimit
from autocompress.tasks.base import Metric

Ask = Callable[[MeasureJob, int], Answer]


def _is_certified(finalist: Finalist) -> bool:
    return finalist.certificate is not None and finalist.certificate.certified


class Finals:
    """Judges trials of one run on its holdout part.

    Args:
        drift: of the machine's timings.
        ask: does a job in a child, shown as that of the trial with the given number.
    """

    def __init__(
        self,
        run: RunFolder,
        workspace: Workspace,
        prepared: Prepared,
        original: TrialRecord,
        metric: Metric,
        limit: QualityLimit | None,
        drift: float,
        ask: Ask,
    ) -> None:
        self._run = run
        self._workspace = workspace
        self._prepared = prepared
        self._original = original
        self._metric = metric
        self._limit = limit
        self._drift = drift
        self._ask = ask

    def judge(self, order: Sequence[TrialRecord]) -> tuple[Finalist, ...]:
        """Judge the trials in their order until one is certified; without a limit on quality, the first alone.

        The confidence level allows for as many finalists as stand in the order, judged or not, so that stopping early
        does not flatter.
        """
        original = self._measure(self._original, {"quality"})
        if isinstance(original, Failed):
            return (Finalist(number=order[0].number, holdout=None, certificate=None, problem=original.error.message),)
        judged: list[Finalist] = []
        for record in order if self._limit is not None else order[:1]:
            finalist = self._judge_one(record, len(order))
            judged.append(finalist)
            if _is_certified(finalist):
                break
        best = judged[-1] if _is_certified(judged[-1]) else judged[0]
        return tuple(self._timed(finalist, order) if finalist is best else finalist for finalist in judged)

    def weigh(self, records: Iterable[TrialRecord]) -> dict[int, MemoryFigures]:
        """The memory of those trials of which the search did not measure it; by number, where it can be told."""
        weighed = {}
        for record in records:
            if record.measurement is None or record.measurement.ram is not None:
                continue
            answer = self._measure(record, {"ram"})
            if isinstance(answer, Measured) and answer.measurement.ram is not None:
                weighed[record.number] = MemoryFigures(ram=answer.measurement.ram, vram=answer.measurement.vram)
        return weighed

    def _timed(self, finalist: Finalist, order: Sequence[TrialRecord]) -> Finalist:
        """The best finalist, timed once more, in several fresh processes."""
        record = next(record for record in order if record.number == finalist.number)
        if finalist.holdout is None:
            return finalist
        latency = in_fresh_processes(lambda: self._latency(record))
        if latency is None:
            return finalist
        return finalist.model_copy(update={"holdout": finalist.holdout.model_copy(update={"latency": latency})})

    def _latency(self, record: TrialRecord) -> Latency | None:
        answer = self._measure(record, {"latency"})
        return answer.measurement.latency if isinstance(answer, Measured) else None

    def _judge_one(self, record: TrialRecord, n_finalists: int) -> Finalist:
        answer = self._measure(record, {"quality", "energy"})
        if isinstance(answer, Failed):
            return Finalist(number=record.number, holdout=None, certificate=None, problem=answer.error.message)
        assert isinstance(answer, Measured)
        certificate: Certificate | None = None
        if self._limit is not None:
            certificate = certify(
                self._metric,
                Outcomes.load(self._run.trial(record.number) / "outcomes-holdout.npz"),
                Outcomes.load(self._run.baseline / "outcomes-holdout.npz"),
                self._limit,
                n_finalists=n_finalists,
            )
        return Finalist(number=record.number, holdout=answer.measurement, certificate=certificate)

    def _measure(self, record: TrialRecord, figures: set[Figure]) -> Answer:
        is_original = record.number == self._original.number
        job = MeasureJob(
            workspace=self._workspace,
            prepared=self._prepared,
            format=record.recipe.format,
            artifact=self._run.artifact(record.number).absolute(),
            original=None if is_original else self._run.artifact(self._original.number).absolute(),
            part="holdout",
            figures=frozenset(figures),
            precise=True,
            drift=self._drift,
            outcomes=None if is_original else self._run.trial(record.number).absolute() / "outcomes-holdout.npz",
        )
        return self._ask(job, record.number)
