"""What a format must offer: export a model to files, load the files, run them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt

from autocompress.formats.foresight import FileSize
from autocompress.frozen import Frozen

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, Inputs, StepContext
    from autocompress.facts import ModelFacts
    from autocompress.outline import Outline
    from autocompress.recipe import Step
    from autocompress.spec import ModelSpec


class Unavailable(Frozen):
    """Why a format cannot run on this machine, and the command that would change that."""

    reason: str
    install: str | None = None


class Runner(ABC):
    """An artifact loaded in its runtime. Takes and gives NumPy arrays; one caller at a time."""

    @abstractmethod
    def forward(self, inputs: Inputs) -> dict[str, npt.NDArray[Any]]:
        """One forward pass; output name to array."""

    def generate(self, inputs: Inputs, max_new_tokens: int, min_new_tokens: int = 0) -> npt.NDArray[Any]:
        """Greedy decoding as the model's generation settings say; token ids of shape (batch, length), prompt included.

        ``min_new_tokens`` keeps the end token from being chosen earlier; equal to ``max_new_tokens`` it makes every
        candidate do the same work, however broken its answers are, which latency needs.

        Raises:
            NotImplementedError: the artifact is not a generating model.
        """
        raise NotImplementedError(f"{type(self).__name__} does not generate")

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def close(self) -> None:
        """Free what the runtime holds."""


class Format(ABC):
    """A way to store and run a model; a plug-in of the ``autocompress.formats`` group."""

    name: ClassVar[str]
    summary: ClassVar[str]
    imports: ClassVar[tuple[str, ...]] = ()
    """Modules that `load` imports, so that the memory they take can be told apart from the model's."""

    searched: ClassVar[bool] = True
    """Whether a search tries it where no formats are named: what is for other software to run is written on request."""

    @abstractmethod
    def unavailable(self, device: str) -> Unavailable | None:
        """Why the format cannot run here on ``device``, or None. Imports nothing heavy."""

    @abstractmethod
    def refuses(self, steps: tuple[Step, ...], facts: ModelFacts, device: str) -> str | None:
        """Why these steps cannot end in this format, or None. Nothing is computed."""

    def lacks(self, steps: tuple[Step, ...]) -> str | None:
        """What these steps must be followed by to end in this format, as a sentence, or None. Nothing is computed."""
        del steps
        return None

    @abstractmethod
    def known_good(self) -> tuple[tuple[Step, ...], ...]:
        """Steps that usually pay in this format, best first; those that do not fit the model are left out later."""

    def foresee(self, outline: Outline, *, is_original: bool) -> FileSize:
        """How large the files of a model of these shapes will be; nothing is computed.

        ``is_original``: no step was taken and `export` will store the model as it is, in the types that it has.
        """
        del is_original
        return FileSize(outline.n_bytes, math.inf)

    @abstractmethod
    def export(self, model: CompressibleModel, folder: Path, context: StepContext) -> str:
        """Write the files that would be deployed into ``folder``; gives in words what computes the weights.

        Raises:
            Unsupported: this model cannot be written in this format.
        """

    @abstractmethod
    def load(self, folder: Path, device: str, threads: int, model: ModelSpec | None = None) -> Runner:
        """Load what `export` wrote. Imports only what deployment needs.

        ``model`` names the task file of a model of the user's own: an artifact never says itself what code to run.
        """
