"""A sampler for Optuna that searches conditional spaces of choices in few, dear and noisy trials.

It knows nothing of the rest of this package: anything that can be asked for by Optuna's ``suggest_…`` can be searched.
"""

from autocompress.search.sampler.figures import Figure, Reading, TrialOutcome, reader_of
from autocompress.search.sampler.hypervolume import Belief
from autocompress.search.sampler.recipe_sampler import Proposal, RecipeSampler
from autocompress.search.sampler.space import Candidate, Space, Stage, Suggests, in_turn
from autocompress.search.sampler.stopping import StopWhenSpent

__all__ = [
    "Belief",
    "Candidate",
    "Figure",
    "Proposal",
    "Reading",
    "RecipeSampler",
    "Space",
    "Stage",
    "StopWhenSpent",
    "Suggests",
    "TrialOutcome",
    "in_turn",
    "reader_of",
]
