"""Everything that can go wrong and be told to a user: one root, each class knows its exit code."""

from __future__ import annotations

from typing import ClassVar


class AutocompressError(Exception):
    """A problem told in one sentence: what happened, where, and what to do about it.

    Attributes:
        where: the place in the user's input, such as ``steps[2].group_size`` or a file's path.
        remedy: what the user can do, as an imperative sentence.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        cure = f" {self.remedy}" if self.remedy else ""
        sentence = self.what if self.what.endswith((".", "!", "?")) or not cure else f"{self.what}."
        return f"{place}{sentence}{cure}"


class UsageError(AutocompressError):
    """The command line is wrong."""

    exit_code = 2


class SpecError(UsageError):
    """A search specification cannot be used as written."""


class RecipeError(UsageError):
    """A recipe cannot be used as written, or does not fit the model."""


class DataError(UsageError):
    """The data cannot be read, or is not what the task needs."""


class ModelError(UsageError):
    """The model cannot be found, read, or used for the task."""


class RunError(UsageError):
    """A run folder is missing, in use, or not what it should be."""


class EnvironmentProblem(AutocompressError):
    """This machine lacks something: a package, a device, disk space."""

    exit_code = 3


class Unsupported(AutocompressError):
    """A stage found that this combination cannot be done; the trial ends as ``unsupported``, the search goes on."""


class StageTimedOut(AutocompressError):
    """A stage used more time than the trial was given."""


class Interrupted(AutocompressError):
    """Ctrl-C, or a request to end."""

    exit_code = 130
