"""A model seen by its shapes alone, as it will be after the steps of a recipe: what sizes are foretold from.

Weights that are alike in shape and place stand together, so a model has about ten groups of them, however deep it is.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from autocompress.encodings import DenseForm, Form, form_bytes
from autocompress.facts import PROJECTIONS, ModelFacts, Part, TensorFact, WeightFact, WeightScope

if TYPE_CHECKING:
    from autocompress.recipe import Step

ITEMSIZES = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "int16": 2, "int8": 1, "uint8": 1, "bool": 1}
"""Bytes of a value by its type; 4 for all others."""
EXACT_ERROR = 0.02
"""By how much a size may be off, as a share of it, that shapes alone decide."""
EXPECTED_ERROR = 0.1
"""The same of a size that the weights' values decide too, of which an expectation is foretold."""

Role = Literal["", "feed-forward in", "feed-forward out", "heads in", "heads out"]
"""What a weight's shape follows from besides the model's width."""
_BLOCK = re.compile(r"(.+?)\.\d+\.")
_INTO_HEADS = {name for names in PROJECTIONS for name in names}


@dataclass(frozen=True)
class WeightGroup:
    """Weights alike.

    Attributes:
        fact: one of them, of the shape that they have now.
        count: how many; a fraction where only an expectation is known.
        role: what their shape follows from.
        stack: the path of the repeated layers that they are in, if any.
        part: of an encoder-decoder.
        name_bytes: mean length of their names.
        has_bias: whether their layers have one.
        is_normed: whether a batch norm follows, which runtimes fold into the weight.
        form: how each is stored.
        n_float: how many of their layers compute in float beside int8 kernels.
    """

    fact: WeightFact
    count: float
    role: Role
    stack: str
    part: Part
    name_bytes: float
    has_bias: bool
    is_normed: bool
    form: Form
    n_float: float = 0.0

    @property
    def n_elements(self) -> float:
        """Number of all their values."""
        return self.fact.n_elements * self.count

    @property
    def is_coded(self) -> bool:
        """Whether they are stored as anything but plain values."""
        return not isinstance(self.form, DenseForm)

    def resized(self, out_features: int, in_features: int) -> WeightGroup:
        """With another shape, not coded yet."""
        fact = self.fact.model_copy(update={"out_features": out_features, "in_features": in_features})
        return replace(self, fact=fact, form=DenseForm((out_features, in_features)))


TensorKind = Literal["bias", "norm", "root mean square norm", "norm's bias", "batch norm", "kernel", "factor", "table"]
"""``kernel`` and ``factor``: what a convolution's weight norm makes its weight of."""
_KERNEL, _FACTOR = "parametrizations.weight.original1", "parametrizations.weight.original0"


@dataclass(frozen=True)
class TensorGroup:
    """Tensors alike that are no weights.

    Attributes:
        n_elements: of one of them.
        itemsize: bytes of a value.
        rank: number of axes.
        kind: what they are; ``batch norm`` for all of a norm's tensors.
        count, role, stack, part, name_bytes: as those of `WeightGroup`; a bias has its weight's role.
    """

    n_elements: int
    itemsize: int
    rank: int
    kind: TensorKind
    count: float
    role: Role
    stack: str
    part: Part
    name_bytes: float
    is_float: bool = True

    @property
    def n_bytes(self) -> float:
        """Bytes of all of them."""
        return self.n_elements * self.itemsize * self.count


@dataclass(frozen=True)
class Outline:
    """A model's shapes, and what the steps so far have decided.

    Attributes:
        facts: of the original.
        weights, tensors: its groups.
        half: ``float16`` or ``bfloat16`` where ``half_part`` is converted, else None.
        half_part: the part that computes in half precision.
        activation_step: the step whose int8 kernels the format uses.
        in_manifest: how many modules' sizes no configuration says.
        error: by how much a size may be off, as a share of it; after `channels`, by how much it may be smaller.
    """

    facts: ModelFacts
    weights: tuple[WeightGroup, ...]
    tensors: tuple[TensorGroup, ...]
    half: str | None = None
    half_part: Part = "model"
    activation_step: Step | None = None
    in_manifest: float = 0.0
    error: float = EXACT_ERROR

    @property
    def n_bytes(self) -> float:
        """Bytes of all weights as they are stored, and of all other tensors."""
        weights = sum(group.count * form_bytes(group.form) for group in self.weights)
        return weights + sum(group.n_bytes for group in self.tensors)

    def changed(self, change: Callable[[WeightGroup], WeightGroup]) -> Outline:
        """With each group of weights as ``change`` gives it."""
        return replace(self, weights=tuple(change(group) for group in self.weights))

    def coded(self, scope: WeightScope, form: Callable[[WeightGroup], Form]) -> Outline:
        """With the weights of a scope stored in the forms that ``form`` gives."""
        return self.changed(lambda group: replace(group, form=form(group)) if group.fact.is_in(scope) else group)

    def expected(self, error: float = EXPECTED_ERROR) -> Outline:
        """The same, of which only an expectation is known."""
        return replace(self, error=max(self.error, error))

    def is_half(self, part: Part) -> bool:
        """Whether a part is in half precision."""
        return self.half is not None and self.half_part in ("model", part)


def outline_of(facts: ModelFacts) -> Outline:
    """The model before any step, in float32, as every recipe begins."""
    return Outline(facts, tuple(_weight_groups(facts)), tuple(_tensor_groups(facts)))


def itemsize_of(dtype: str) -> int:
    """Bytes of a value of a type."""
    return ITEMSIZES.get(dtype, 4)


def _weight_groups(facts: ModelFacts) -> Iterator[WeightGroup]:
    biased = {tensor.name.removesuffix(".bias") for tensor in facts.tensors if tensor.name.endswith(".bias")}
    normed = _normed(facts)
    alike: dict[WeightGroup, list[WeightFact]] = defaultdict(list)
    for weight in facts.weights:
        layer = weight.name.removesuffix(".weight")
        one = WeightGroup(
            fact=weight.model_copy(update={"name": ""}),
            count=1,
            role=_role(weight, facts),
            stack=_stack(weight.name),
            part=_part(weight.name, facts),
            name_bytes=0,
            has_bias=layer in biased,
            is_normed=layer in normed,
            form=DenseForm((weight.out_features, weight.in_features)),
        )
        alike[one].append(weight)
    for one, weights in alike.items():
        mean = sum(len(weight.name) for weight in weights) / len(weights)
        yield replace(one, fact=weights[0], count=len(weights), name_bytes=mean)


def _tensor_groups(facts: ModelFacts) -> Iterator[TensorGroup]:
    roles = {weight.name.removesuffix(".weight"): _role(weight, facts) for weight in facts.weights}
    batch_norms = _batch_norms(facts)
    names = {tensor.name for tensor in facts.tensors}
    alike: dict[TensorGroup, list[TensorFact]] = defaultdict(list)
    for tensor in facts.tensors:
        path, _, own = tensor.name.rpartition(".")
        kind: TensorKind = "table"
        if path in batch_norms:
            kind = "batch norm"
        elif own == "bias" and path in roles:
            kind = "bias"
        elif len(tensor.shape) == 1 and own == "weight":
            kind = "norm" if f"{path}.bias" in names else "root mean square norm"
        elif len(tensor.shape) == 1 and own == "bias" and f"{path}.weight" in names:
            kind = "norm's bias"
        elif tensor.name.endswith((_KERNEL, _FACTOR)):
            kind = "kernel" if tensor.name.endswith(_KERNEL) else "factor"
        role = roles[path] if kind == "bias" else ""
        one = TensorGroup(
            n_elements=tensor.n_elements,
            itemsize=itemsize_of(tensor.dtype),
            rank=len(tensor.shape),
            kind=kind,
            count=1,
            role=role if role in ("feed-forward in", "heads in") else "",
            stack=_stack(tensor.name),
            part=_part(tensor.name, facts),
            name_bytes=0,
            is_float=tensor.dtype.startswith(("float", "bfloat")),
        )
        alike[one].append(tensor)
    for one, tensors in alike.items():
        mean = sum(len(tensor.name) for tensor in tensors) / len(tensors)
        yield replace(one, count=len(tensors), name_bytes=mean)


def _batch_norms(facts: ModelFacts) -> set[str]:
    """Paths of modules with running statistics."""
    suffix = ".running_mean"
    return {tensor.name.removesuffix(suffix) for tensor in facts.tensors if tensor.name.endswith(suffix)}


def _normed(facts: ModelFacts) -> set[str]:
    """Paths of convolutions that a batch norm follows: where there are as many of them."""
    norms = [
        name.removesuffix(".running_mean") for name in (t.name for t in facts.tensors) if name.endswith(".running_mean")
    ]
    kernels = [weight for weight in facts.weights if weight.kind == "convolution"]
    return {weight.name.removesuffix(".weight") for weight in kernels} if len(norms) == len(kernels) else set()


def _role(weight: WeightFact, facts: ModelFacts) -> Role:
    names = weight.name.split(".")
    if weight.kind != "linear" or not _stack(weight.name):
        return ""
    if weight.in_attention:
        return "heads in" if len(names) > 1 and names[-2] in _INTO_HEADS else "heads out"
    width = facts.feed_forward_width
    if weight.out_features == width != weight.in_features:
        return "feed-forward in"
    return "feed-forward out" if weight.in_features == width != weight.out_features else ""


def _stack(name: str) -> str:
    found = _BLOCK.match(name)
    return found[1] if found else ""


def _part(name: str, facts: ModelFacts) -> Part:
    """The graph that computes with a tensor: keys and values of cross-attention are the encoder's."""
    if facts.task != "speech-seq2seq":
        return "model"
    if "encoder_attn.k_proj" in name or "encoder_attn.v_proj" in name:
        return "encoder"
    return "decoder" if "decoder" in name.split(".") or "encoder" not in name.split(".") else "encoder"


def layer_stacks(facts: ModelFacts) -> Mapping[str, str]:
    """Path of each stack of layers that the configuration counts, to the part that it is of."""
    indices: Counter[str] = Counter()
    for path in {found[0] for weight in facts.weights if weight.in_attention and (found := _BLOCK.match(weight.name))}:
        indices[path.rsplit(".", 2)[0]] += 1
    return {
        stack: part
        for stack, count in indices.items()
        for part, layers in facts.layer_counts.items()
        if count == layers and (part == "model" or part in stack.split("."))
    }
