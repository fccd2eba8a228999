"""The user's own problem, described by a Python file of about thirty lines."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.errors import AutocompressError, DataError, ModelError
from autocompress.tasks.base import PARTS, Metric, Part, Sample, Score, Task

if TYPE_CHECKING:
    from torch import nn

    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec

TRAINING = "training"
REQUIRED = ("load_model", "load_data", "score")


class Own(Task):
    """A model, data and score of the user's, given by functions in ``model.task_file``.

    - ``load_model(path)``: the trained ``torch.nn.Module``; ``path`` is the model's path as given.
    - ``load_data()``: pairs of (inputs by name, target); inputs are arrays with a first axis of length 1. Either one
      sequence, which is cut with the seed, or a mapping of ``calibration``, ``search`` and ``holdout`` to sequences,
      and of ``training`` if distillation should have more to train on than the calibration part.
    - ``score(outputs, target)``: a number or bool per sample, averaged; or a pair (numerator, denominator).
    - ``forward(model, inputs)``, optional: by default ``model(**inputs)``. A tensor, a tuple or a mapping of tensors.
    - ``METRIC`` (``"score"``), ``HIGHER_IS_BETTER`` (True), ``IS_RATE`` (True: between 0 and 1), optional constants.
    """

    name = "own"
    summary = "your own model, data and score, in a Python file"
    metric = Metric(name="score", higher_is_better=True)
    roles = ()
    needs_data = False

    def metric_of(self, model: ModelSpec) -> Metric:
        """The metric that the file's constants describe."""
        return read_metric(_path(model))

    def claims(self, config: Mapping[str, Any]) -> bool:
        """Never: the file must be given."""
        del config
        return False

    def load_model(self, model: ModelSpec) -> nn.Module:
        """The user's module, whose forward pass now takes and gives tensors by name; see `with_named_tensors`."""
        from torch import nn

        self.metric_of(model)  # a file that is wrong in this is refused before it is run
        module = self._call(model, "load_model", model.path)
        if not isinstance(module, nn.Module):
            raise ModelError(f"load_model gave {type(module).__name__}, not a torch.nn.Module", where=model.task_file)
        return with_named_tensors(module.eval(), getattr(_user_file(_path(model)), "forward", None))

    def rebuild(self, model: ModelSpec, overrides: Mapping[str, int]) -> nn.Module:
        """The module again.

        Raises:
            ModelError: a configuration field is to change, and the user's model has none.
        """
        if overrides:
            raise ModelError("a model of your own has no configuration to change", where=model.task_file)
        return self.load_model(model)

    def samples(self, model: ModelSpec, rows: Rows) -> Sequence[Sample]:
        """Rows with the columns ``inputs`` and ``target``."""
        del model
        return [Sample(*pair) for pair in zip(rows.columns["inputs"], rows.columns["target"], strict=True)]

    def samples_by_part(
        self, model: ModelSpec, parts: Mapping[Part, Rows], seed: int
    ) -> Mapping[Part, Sequence[Sample]]:
        """What ``load_data`` gives, cut with the seed where it is one sequence."""
        from autocompress.data.parts import LARGEST_PARTS, draw_rows, split_rows
        from autocompress.spec import DataSpec

        del parts
        data = self._call(model, "load_data")
        if isinstance(data, Mapping):
            if set(data) - {TRAINING} != set(PARTS):
                raise DataError(f"load_data gave the parts {sorted(data)}, not {list(PARTS)}", where=model.task_file)
            return {part: self.samples(model, _rows(data[part], model)) for part in PARTS}
        fractions = DataSpec.model_fields["fractions"].default
        cut = split_rows(_rows(data, model), dict(zip(PARTS, fractions, strict=True)), seed, "inputs")
        return {part: self.samples(model, draw_rows(cut[part], LARGEST_PARTS[part], seed, "inputs")) for part in PARTS}

    def training_samples(self, model: ModelSpec, rows: Rows | None, seed: int) -> Sequence[Sample]:
        """All of the calibration part, or of ``training`` where ``load_data`` gives a mapping that has it."""
        from autocompress.data.parts import split_rows
        from autocompress.spec import DataSpec

        del rows
        data = self._call(model, "load_data")
        if isinstance(data, Mapping):
            return self.samples(model, _rows(data.get(TRAINING, data["calibration"]), model))
        fractions = DataSpec.model_fields["fractions"].default
        cut = split_rows(_rows(data, model), dict(zip(PARTS, fractions, strict=True)), seed, "inputs")
        return self.samples(model, cut["calibration"])

    def timing_inputs(self, model: ModelSpec, samples: Sequence[Sample]) -> Inputs:
        """The first sample's inputs."""
        del model
        return samples[0].inputs

    def run(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> Any:
        """The outputs by name."""
        del model
        return runner.forward(inputs)

    def score(self, model: ModelSpec, answer: Any, target: Any) -> Score:
        """What the user's ``score`` says of the outputs; a single output is given as the array itself."""
        outputs = next(iter(answer.values())) if len(answer) == 1 else answer
        scored = self._call(model, "score", outputs, target)
        pair = scored if isinstance(scored, tuple) else (scored, 1.0)
        try:
            numerator, denominator = (float(number) for number in pair)
        except (TypeError, ValueError):
            raise ModelError(f"score gave {scored!r:.60}, not a number or a pair", where=model.task_file) from None
        return {self.metric_of(model).name: (numerator, denominator)}

    def _call(self, model: ModelSpec, name: str, *arguments: Any) -> Any:
        function: Callable[..., Any] = getattr(_user_file(_path(model)), name)
        try:
            return function(*arguments)
        except AutocompressError:
            raise
        except Exception as problem:
            raise ModelError(f"{name} raised {type(problem).__name__}: {problem}", where=model.task_file) from problem


@cache
def read_metric(path: Path) -> Metric:
    """The metric's constants, read from the file's text without running it.

    Raises:
        ModelError: unreadable, not Python, or a constant is not written out.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as problem:
        raise ModelError(f"cannot be read as Python: {problem}", where=str(path), remedy="Check the file.") from None
    constants: dict[str, Any] = {"METRIC": "score", "HIGHER_IS_BETTER": True, "IS_RATE": True}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in constants:
                kind = type(constants[name])
                value = statement.value.value if isinstance(statement.value, ast.Constant) else None
                if not isinstance(value, kind):
                    raise ModelError(f"{name} must be a plain {kind.__name__}", where=f"{path}:{statement.lineno}")
                constants[name] = value
    return Metric(
        name=constants["METRIC"], higher_is_better=constants["HIGHER_IS_BETTER"], is_rate=constants["IS_RATE"]
    )


def with_named_tensors(module: nn.Module, forward: Callable[..., Any] | None) -> nn.Module:
    """The same module, with the names of its parameters, whose forward pass takes and gives tensors by name.

    Its class becomes a subclass of its own class, so that nothing wraps it and copies of it stay whole.
    """
    import copy
    import inspect

    original = type(module)

    def named_forward(self: nn.Module, **inputs: Any) -> dict[str, Any]:
        if forward is None:
            return _by_name(original.forward(self, **inputs))
        inside = copy.copy(self)  # a view on the same parameters whose own forward is the user's
        inside.__class__ = original
        return _by_name(forward(inside, inputs))

    if forward is None:  # exporters read the names of the inputs off the signature
        named_forward.__signature__ = inspect.signature(original.forward)  # type: ignore[attr-defined]
    module.__class__ = type(original.__name__, (original,), {"forward": named_forward, "__module__": __name__})
    return module


def _by_name(outputs: Any) -> dict[str, Any]:
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, tuple | list):
        return {f"output_{number}": output for number, output in enumerate(outputs)}
    return {"output": outputs}


def _path(model: ModelSpec) -> Path:
    if not model.task_file:
        raise ModelError("the task own needs a Python file", where="model.task_file", remedy="Give --task-file.")
    return Path(model.task_file).expanduser()


@cache
def _user_file(path: Path) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    if not path.is_file():
        raise ModelError("there is no such file", where=str(path), remedy="Check --task-file.")
    found = spec_from_file_location(f"autocompress_own_{path.stem}", path)
    if found is None or found.loader is None:
        raise ModelError("not a Python file", where=str(path), remedy="Its name must end in .py.")
    module = module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as problem:
        raise ModelError(f"raised {type(problem).__name__}: {problem}", where=str(path)) from problem
    missing = [name for name in REQUIRED if not callable(getattr(module, name, None))]
    if missing:
        raise ModelError(f"lacks the function {' and '.join(missing)}", where=str(path))
    return module


def _rows(pairs: Any, model: ModelSpec) -> Rows:
    from autocompress.data.rows import Rows

    inputs, targets = [], []
    try:
        for given, target in pairs:
            inputs.append({name: np.asarray(array) for name, array in given.items()})
            targets.append(target)
    except (TypeError, ValueError, AttributeError):
        raise DataError("load_data must give pairs of (inputs by name, target)", where=model.task_file) from None
    if not inputs:
        raise DataError("load_data gave no samples", where=model.task_file)
    name, array = next(((n, a) for given in inputs for n, a in given.items() if a.shape[:1] != (1,)), (None, None))
    if array is not None:
        raise DataError(
            f"the input {name} has shape {array.shape}; the first axis must have length 1", where=model.task_file
        )
    return Rows(str(model.task_file), {"inputs": inputs, "target": targets})
