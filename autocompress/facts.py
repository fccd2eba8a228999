"""What is known of a model's shape without its weights: enough to refuse a step and to predict a size."""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Literal, get_args

from autocompress.frozen import Frozen

WeightKind = Literal["linear", "convolution", "embedding"]
WeightScope = Literal["attention", "layers", "all"]
"""Which weights a method takes: those of attention blocks, of all layers that compute, or the embeddings as well."""
Part = Literal["model", "encoder", "decoder"]
"""All of a model, or one of the two parts of an encoder-decoder."""

PROJECTIONS = (("q_proj", "k_proj", "v_proj"), ("query", "key", "value"), ("q_lin", "k_lin", "v_lin"))
"""Names under which attention modules keep the layers into their heads."""

DECODING_TASKS = ("speech-seq2seq", "language-modelling")


class WeightFact(Frozen):
    """One weight as a matrix of (out_features, in_features); a convolution's kernel is flattened into the inputs.

    ``in_attention``: one of the projections of an attention block, the one back out of it included. ``is_shared``: two
    modules read it, such as an embedding that is the projection back onto the vocabulary too.
    """

    name: str
    kind: WeightKind
    out_features: int
    in_features: int
    in_attention: bool = False
    is_shared: bool = False

    def is_in(self, scope: WeightScope) -> bool:
        """Whether a method of this scope takes the weight."""
        return scope == "all" or (self.kind != "embedding" and (scope == "layers" or self.in_attention))

    @property
    def n_elements(self) -> int:
        """Number of weights."""
        return self.out_features * self.in_features


class TensorFact(Frozen):
    """A stored tensor that is no weight: a bias, a norm's scale, a table of positions, a buffer.

    ``dtype`` is as torch names it, such as ``float32``; ``is_buffer`` where it is no parameter.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    is_buffer: bool = False

    @property
    def n_elements(self) -> int:
        """Number of values."""
        return prod(self.shape)


class ModelFacts(Frozen):
    """Shape of a model.

    ``feed_forward_width`` is the one width that all feed-forward blocks share, where the model's configuration can
    express a narrower one; None where it cannot. ``layer_counts`` are the repeated layers of the parts ``encoder`` and
    ``decoder``, or ``model`` where there is one stack; empty where no configuration can express fewer.
    ``parts`` are those that can compute in a type of their own: encoder and decoder where they share no weight.
    ``head_groups`` are the attention heads of a block that can be dropped one by one (query heads that share keys and
    values count as one), the fewest of any block; ``heads_in_config`` says that the configuration can express fewer.
    ``dtype`` is that of the stored weights, ``tensors`` what is stored beside them; ``settings_bytes`` is the size of
    the configuration and the generation settings as files.
    """

    architecture: str
    task: str
    n_parameters: int
    weights: tuple[WeightFact, ...]
    feed_forward_width: int | None = None
    layer_counts: dict[str, int] = {}
    parts: tuple[Part, ...] = ("model",)
    head_groups: int | None = None
    heads_in_config: bool = False
    dtype: str = "float32"
    tensors: tuple[TensorFact, ...] = ()
    settings_bytes: int = 0

    @property
    def decodes(self) -> bool:
        """Whether the task has the model write token after token, with a cache of keys and values."""
        return self.task in DECODING_TASKS

    def of_kind(self, *kinds: WeightKind) -> tuple[WeightFact, ...]:
        """The weights of the given kinds."""
        return tuple(weight for weight in self.weights if weight.kind in kinds)

    def in_scope(self, scope: WeightScope) -> tuple[WeightFact, ...]:
        """The weights that a method of this scope takes."""
        return self._by_scope[scope]

    @cached_property
    def _by_scope(self) -> dict[str, tuple[WeightFact, ...]]:
        scopes = get_args(WeightScope)
        return {scope: tuple(weight for weight in self.weights if weight.is_in(scope)) for scope in scopes}

    def share(self, kind: WeightKind) -> float:
        """Share of all parameters that are weights of this kind, 0 to 1."""
        return sum(weight.n_elements for weight in self.of_kind(kind)) / max(1, self.n_parameters)
