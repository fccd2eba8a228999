"""What a student is trained towards: its teacher's answers, the labels, and the teacher's inner states."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from autocompress.errors import Unsupported
from autocompress.training.losses import attention_error, relative_error, soft_targets

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

LOGITS = "logits"
LABELS = "labels"
HIDDEN_STATES = ("hidden_states", "encoder_hidden_states", "decoder_hidden_states")
ATTENTIONS = ("attentions", "encoder_attentions", "decoder_attentions")

Tensors = Mapping[str, "Tensor"]


@dataclass(frozen=True)
class LossWeights:
    """What counts how much.

    Attributes:
        temperature: softens the classes of both before they are compared.
        alpha: weight of the labels' loss, 0 to 1; the teacher's answers have the rest. Without labels it is 0.
        features: weight of the hidden states, whose error is relative to the teacher's.
        attention: weight of the attention maps.
    """

    temperature: float = 2.0
    alpha: float = 0.0
    features: float = 0.0
    attention: float = 0.0


@dataclass(frozen=True)
class _Match:
    """A student's inner state and the teacher's that it should be like."""

    key: str
    student: int
    teacher: int
    projection: str | None = None


class Distillation:
    """The mean loss of a student over a batch, from one pass of the student and one of the teacher.

    Of modules of transformers the classes (``logits``) are compared by `soft_targets`, hidden states and attention
    maps layer by layer: a student's layer with the teacher's at the same share of the depth. A student of another
    width is compared through a linear map that is learned beside it. A module that gives other outputs is compared in
    all its float outputs, by `relative_error`; it has no inner states.

    Attributes:
        projections: name to matrix of shape (teacher's width, student's width); to be trained with the student.

    Args:
        student: in evaluation mode, on the device.
        teacher: likewise; not trained.
        weights: what counts how much.
        example: inputs of one pass, for the inner states' shapes.
        seed: of the projections' first values.

    Raises:
        Unsupported: student and teacher give nothing that can be compared.
    """

    def __init__(
        self, student: nn.Module, teacher: nn.Module, weights: LossWeights, example: Tensors, seed: int = 0
    ) -> None:
        import torch

        self.student = student
        self.teacher = teacher
        self.weights = weights
        self.projections: dict[str, Tensor] = {}
        with torch.no_grad():
            mine, theirs = self._student_pass(example, {}), self._teacher_pass(example)
        self.outputs = _compared_outputs(mine, theirs)
        random = torch.Generator().manual_seed(seed)
        self.hidden = [
            self._projected(match, mine, theirs, random)
            for key in HIDDEN_STATES
            for match in _matches(key, mine, theirs, first_is_input=True)
        ]
        self.attentions = [match for key in ATTENTIONS for match in _matches(key, mine, theirs, first_is_input=False)]

    def __call__(self, inputs: Tensors, values: Tensors) -> Tensor:
        """The mean loss over the samples; ``values`` stand in for the student's parameters of these names."""
        weights = self.weights
        mine, theirs = self._student_pass(inputs, values), self._teacher_pass(inputs)
        loss = self._answers(mine, theirs)
        labelled = self._labelled(mine, inputs)
        if labelled is not None:
            loss = (1 - weights.alpha) * loss + weights.alpha * labelled
        if weights.features and self.hidden:
            errors = [self._hidden_error(match, mine, theirs) for match in self.hidden]
            loss = loss + weights.features * sum(errors[1:], errors[0]) / len(errors)
        if weights.attention and self.attentions:
            maps = [attention_error(mine[m.key][m.student], theirs[m.key][m.teacher]) for m in self.attentions]
            loss = loss + weights.attention * sum(maps[1:], maps[0]) / len(maps)
        return loss

    def _answers(self, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Tensor:
        if self.outputs == (LOGITS,):
            return soft_targets(mine[LOGITS], theirs[LOGITS], self.weights.temperature)
        errors = [relative_error(mine[name], theirs[name]) for name in self.outputs]
        return sum(errors[1:], errors[0]) / len(errors)

    def _labelled(self, mine: Mapping[str, Any], inputs: Tensors) -> Tensor | None:
        """The module's own loss, per label where the module sums it up."""
        loss: Tensor | None = mine.get("loss") if self.weights.alpha and LABELS in inputs else None
        if loss is None or not type(self.student).__name__.endswith("ForCTC"):
            return loss
        config: Any = self.student.config
        return loss / inputs[LABELS].numel() if config.ctc_loss_reduction == "sum" else loss

    def _hidden_error(self, match: _Match, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Tensor:
        state = _channels_last(mine[match.key][match.student])
        if match.projection is not None:
            state = state @ self.projections[match.projection].T
        return relative_error(state, _channels_last(theirs[match.key][match.teacher]))

    def _projected(
        self, match: _Match, mine: Mapping[str, Any], theirs: Mapping[str, Any], random: Generator
    ) -> _Match:
        """The match, with a map from the student's width where that is another one than the teacher's."""
        import torch

        state = _channels_last(mine[match.key][match.student])
        width = _channels_last(theirs[match.key][match.teacher]).shape[-1]
        if state.shape[-1] == width:
            return match
        name = f"projection.{match.key}.{match.student}"
        matrix = torch.empty(width, state.shape[-1])
        torch.nn.init.orthogonal_(matrix, generator=random)
        self.projections[name] = matrix.to(state.device).requires_grad_()
        return replace(match, projection=name)

    def _student_pass(self, inputs: Tensors, values: Tensors) -> Mapping[str, Any]:
        import torch

        read = inputs if self.weights.alpha else _without_labels(inputs)
        given: dict[str, Any] = {**read, **self._inner_states(self.student)}
        outputs: Mapping[str, Any] = torch.func.functional_call(self.student, dict(values), (), given)
        return outputs

    def _teacher_pass(self, inputs: Tensors) -> Mapping[str, Any]:
        import torch

        with torch.no_grad():
            outputs: Mapping[str, Any] = self.teacher(**_without_labels(inputs), **self._inner_states(self.teacher))
        return outputs

    def _inner_states(self, module: nn.Module) -> dict[str, bool]:
        """What a module of transformers is asked for besides its answer, where it can be."""
        if not _is_pretrained(module):
            return {}
        takes = inspect.signature(module.forward).parameters.values()
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes)
        names = {parameter.name for parameter in takes}
        asked = {"output_hidden_states": self.weights.features, "output_attentions": self.weights.attention}
        return {name: True for name, weight in asked.items() if weight and (takes_any or name in names)}


@contextmanager
def configured(*modules: nn.Module, attention: bool) -> Iterator[None]:
    """Modules of transformers without a cache of keys, which training has no use for; as before afterwards.

    ``attention``: in the implementation that can give its attention maps.
    """
    configs = [module.config for module in modules if _is_pretrained(module)]
    before = [dict(vars(config)) for config in configs]
    try:
        for module in modules:
            if _is_pretrained(module):
                config: Any = module.config
                config.use_cache = False
                if attention:
                    module.set_attn_implementation("eager")  # type: ignore[operator]
        yield
    finally:
        for config, fields in zip(configs, before, strict=True):
            vars(config).clear()
            vars(config).update(fields)


def _is_pretrained(module: nn.Module) -> bool:
    """Whether it is a module of transformers, seen by what it offers."""
    return hasattr(getattr(module, "config", None), "output_hidden_states")


def _without_labels(inputs: Tensors) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in inputs.items() if name != LABELS}


def _compared_outputs(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """The outputs that say how near the student is to the teacher.

    Raises:
        Unsupported: there are none.
    """
    import torch

    def is_float(output: Any) -> bool:
        return isinstance(output, torch.Tensor) and output.is_floating_point()

    if is_float(theirs.get(LOGITS)):
        return (LOGITS,)
    names = tuple(name for name, output in theirs.items() if is_float(output) and is_float(mine.get(name)))
    if not names:
        raise Unsupported("the model gives no float output that a student's could be compared with")
    return names


def _matches(key: str, mine: Mapping[str, Any], theirs: Mapping[str, Any], first_is_input: bool) -> list[_Match]:
    """Every layer of the student with that of the teacher at the same share of the depth, the last with the last."""
    states, targets = mine.get(key), theirs.get(key)
    if not isinstance(states, tuple) or not isinstance(targets, tuple):
        return []
    skipped = int(first_is_input)
    n_layers, n_targets = len(states) - skipped, len(targets) - skipped
    pairs = [(layer, round(layer * n_targets / n_layers)) for layer in range(1, n_layers + 1)]
    offset = skipped - 1
    return [_Match(key, layer + offset, target + offset) for layer, target in pairs]


def _channels_last(state: Tensor) -> Tensor:
    """A hidden state with its width as last axis; feature maps of convolutions have theirs second."""
    return state.movedim(1, -1) if state.dim() == 4 else state
