"""How long, how fast and on how many samples at once a step trains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

WARMUP_SHARE = 0.1
"""Share of the steps in which the learning rate rises."""

Decay = Literal["linear", "cosine"]


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of one training.

    Attributes:
        steps: of the optimizer.
        batch_size: samples of one step.
        seed: of the order of the samples.
        decay: how the learning rate falls to zero after the warm-up.
        patience: evaluations without a better one after which training ends early; 0 never ends it.
        judged_from: first step at which the validation loss counts: before it the model is another one, for example
            one that isn't pruned enough.
    """

    steps: int
    batch_size: int
    seed: int
    decay: Decay = "linear"
    patience: int = 0
    judged_from: int = 0

    def rate(self, step: int) -> float:
        """Factor on the learning rate at a step, 0 to 1; steps count from 0."""
        warmup = max(1, round(self.steps * WARMUP_SHARE))
        if step < warmup:
            return (step + 1) / warmup
        passed = (step - warmup) / max(1, self.steps - warmup)
        return 1 - passed if self.decay == "linear" else (1 + math.cos(math.pi * passed)) / 2
