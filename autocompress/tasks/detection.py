"""Which task a model is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocompress import registry
from autocompress.errors import ModelError
from autocompress.tasks.model_folder import read_config

if TYPE_CHECKING:
    from autocompress.spec import ModelSpec
    from autocompress.tasks.base import Task


def find_task(model: ModelSpec) -> Task:
    """The task that was asked for, else the one that claims the model's configuration. Reads no weights.

    Raises:
        UsageError: the task that was asked for does not exist.
        ModelError: no task claims the model, or it cannot be found.
    """
    if model.task or model.task_file:
        asked: Task = registry.load("tasks", model.task or "own")()
        if asked.name == "own" and not model.task_file:
            raise ModelError("the task own needs a Python file", where="model.task", remedy="Give --task-file.")
        return asked
    config = read_config(model)
    for kind in registry.load_all("tasks").values():
        task: Task = kind()
        if task.claims(config):
            return task
    architectures = ", ".join(config.get("architectures") or ()) or "not named in config.json"
    raise ModelError(
        f"no task is known for this model (architecture: {architectures})",
        where=model.path,
        remedy=f"Give --task, one of: {', '.join(registry.names('tasks'))}.",
    )
