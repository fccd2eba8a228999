"""What tasks share whose models are loaded through transformers: how they are claimed, loaded and rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar

from autocompress.tasks.base import Task

if TYPE_CHECKING:
    from torch import nn

    from autocompress.spec import ModelSpec


class PretrainedTask(Task):
    """A task of a family of transformers' models."""

    architectures: ClassVar[tuple[str, ...]]
    """Patterns of the class names that ``config.json`` gives, such as ``*ForCTC``."""
    auto_class: ClassVar[str]
    """The class of transformers that loads such models, such as ``AutoModelForCTC``."""

    def claims(self, config: Mapping[str, Any]) -> bool:
        """See `Task.claims`."""
        names = config.get("architectures") or ()
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.architectures)

    def load_model(self, model: ModelSpec) -> nn.Module:
        """See `Task.load_model`."""
        from autocompress.tasks.transformers_models import load_pretrained

        return load_pretrained(model, self.auto_class)

    def rebuild(self, model: ModelSpec, overrides: Mapping[str, int]) -> nn.Module:
        """See `Task.rebuild`."""
        from autocompress.tasks.transformers_models import rebuild_pretrained

        return rebuild_pretrained(model, self.auto_class, overrides)
