"""How well the sampler foretells trials that it has not seen: the loop's in `search_real.py`, after some of ours.

Searches that `search_real.py` has kept are played back, which takes seconds where a search takes minutes: the sampler
is told the first so many of our trials, and asked what it expects of the loop's. That is held to what those gave: the
root mean square of the error of log size and of log latency; how many latencies lie in the foretold interval of 95 %;
and of the loss, how probable it is thought to be inside the limit: how often one that is inside is thought likelier
than one that is not (0.5 is chance), and the mean square of probability less truth (0.25 is "I don't know"). Once with
what is believed beforehand (`search/beliefs.py`), and once without.

Whoever changes beliefs or models looks here before and after. Deviations of losses, which are not kept, are taken as
those of right and wrong answers.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data, and searches that `search_real.py` kept.

Run: python benchmarks/search_real.py --seeds 1 && python benchmarks/foretold_trials.py
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, create_trial

sys.path.insert(0, str(Path(__file__).parent))

from known_models import KnownModel, known_models
from ledger import Ledger
from search_real import GIVEN_UP, MODELS, OPTUNA, OURS, Tried, computed, spec_for

from autocompress import registry
from autocompress.examination import FEWEST_SAMPLES
from autocompress.jobs import ORIGINAL_FORMAT
from autocompress.recipe import Recipe
from autocompress.records import Status, TrialRecord
from autocompress.search.preflight import available_formats
from autocompress.search.proposer import Proposer, figure_limits
from autocompress.search.sampler import Belief, Candidate
from autocompress.search.study import DIRECTIONS
from autocompress.space import SearchSpace
from autocompress.stage_cache import cache_root

KNOWN_TRIALS = (15, 30, 45, 60)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """A trial that gave figures: logarithms of size and latency over the original's, and the loss."""

    candidate: Candidate[Recipe]
    values: tuple[float, float, float]
    loss_deviation: float

    def as_trial(self) -> FrozenTrial:
        """As the sampler reads it."""
        told = {"deviations": {"drop": self.loss_deviation}}
        params, distributions = self.candidate.params, self.candidate.distributions
        return create_trial(values=self.values, params=params, distributions=distributions, user_attrs=told)


class Playback:
    """Both arms of a search that was kept, as the sampler sees them.

    Raises:
        SystemExit: there is no such search.
    """

    def __init__(self, model: str, seed: int, trials: int, keep: Path) -> None:
        spec = spec_for(model, seed, train=False)
        kept = Ledger(keep / f"{model}-{seed}-{trials}" / "searches.json").entries
        if not {OURS, OPTUNA} <= set(kept):
            raise SystemExit(f"No search of {model} was kept in {keep}: run benchmarks/search_real.py first.")
        formats, _ = available_formats(spec.space.formats, spec.device)
        methods = {name: kind for name, kind in registry.load_all("methods").items() if not kind.needs_training}
        with KnownModel(spec) as known:
            _, original = known.original
            space = SearchSpace(methods, formats, known.prepared.facts, spec.device, spec.seed)
            self._n_samples = known.prepared.n_samples["search"]
        record = TrialRecord(
            number=0, recipe=Recipe(format=ORIGINAL_FORMAT), status=Status.COMPLETE, measurement=original
        )
        self._space = space
        self.sampler = Proposer(space, spec.seed, record, spec.constraints).sampler
        self.limit = figure_limits(spec.constraints, original)["drop"]
        rows = {arm: [Tried(**row) for row in kept[arm]["rows"]] for arm in (OURS, OPTUNA)}
        self.ours = self._truths(rows[OURS])
        self.others = self._truths(rows[OPTUNA])

    def _truths(self, rows: Sequence[Tried]) -> list[Truth]:
        """Each recipe once; those that failed say nothing here."""
        found: dict[str, Truth] = {}
        for row in computed(rows):
            if row.log_size is None or row.log_latency is None:
                continue
            loss = self.limit * (1 + row.excess)
            n_judged = FEWEST_SAMPLES if row.status == GIVEN_UP else self._n_samples
            deviation = math.sqrt((0.01 + 2 * abs(loss)) / n_judged)
            candidate = self.sampler.space.candidate(self._space.parameters(Recipe.model_validate(row.recipe)))
            found.setdefault(candidate.key, Truth(candidate, (row.log_size, row.log_latency, loss), deviation))
        return list(found.values())


def likelier(probabilities: Array, inside: NDArray[np.bool_]) -> float:
    """How often one that is inside is thought likelier than one that is not; ties count a half."""
    pairs = probabilities[inside][:, None] - probabilities[~inside][None, :]
    return float(((pairs > 0) + (pairs == 0) / 2).mean()) if pairs.size else math.nan


def rms(errors: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(errors**2)))


def line(known: Sequence[Truth], others: Sequence[Truth], playback: Playback, *, guarding: bool) -> str:
    """What is foretold of the others that are not known, held to what they gave."""
    seen = {truth.candidate.key for truth in known}
    asked = [truth for truth in others if truth.candidate.key not in seen]
    study = optuna.create_study(directions=DIRECTIONS)
    study.add_trials([truth.as_trial() for truth in known])
    beliefs = playback.sampler.foretell(study.get_trials(), [truth.candidate for truth in asked], guarding=guarding)
    size, latency, loss = np.array([truth.values for truth in asked]).T
    off = beliefs["latency"].mean - latency
    covered = float(np.mean(np.abs(off) <= 1.96 * beliefs["latency"].deviation))
    inside = loss <= playback.limit
    probable = probability_inside(beliefs["drop"], playback.limit)
    cells = (
        f"{rms(beliefs['size'].mean - size):.3f}",
        f"{rms(off):.2f}",
        f"{covered:.0%}",
        f"{likelier(probable, inside):.2f}",
        f"{float(np.mean((probable - inside) ** 2)):.2f}",
    )
    return f"| {len(known)} | {'without' if guarding else 'with'} beliefs | {len(asked)} | {' | '.join(cells)} |"


def probability_inside(loss: Belief, limit: float) -> Array:
    """That the loss is at most the limit, shape (n_candidates,)."""
    return loss.below(np.array([limit]))[:, 0]


def report(models: Sequence[str], seed: int, trials: int, keep: Path) -> Iterator[str]:
    """The tables, line by line."""
    for model in models:
        playback = Playback(model, seed, trials, keep)
        yield f"\n### {model}, seed {seed}\n"
        yield "| known | | asked | size | latency | inside 95 % | likelier | loss, mean square |"
        yield f"|---:|---|{'---:|' * 6}"
        for count in KNOWN_TRIALS:
            for guarding in (False, True):
                yield line(playback.ours[:count], playback.others, playback, guarding=guarding)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=known_models(), metavar="MODEL")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trials", type=int, default=60, help="as search_real.py was told")
    parser.add_argument("--keep", type=Path, help="where search_real.py kept its searches; in the cache")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    keep = (options.keep or cache_root() / "benchmark-search-real").absolute()
    for text in report(options.models, options.seed, options.trials, keep):
        print(text, flush=True)


if __name__ == "__main__":
    main()
