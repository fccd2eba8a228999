"""Where a transformer's attention heads are, found by the names and shapes of the projections around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autocompress.facts import PROJECTIONS

if TYPE_CHECKING:
    from torch import Tensor, nn

OUTPUTS = ("o_proj", "out_proj", "out_lin")
HEAD_COUNTS = ("num_attention_heads", "num_heads", "n_heads")
"""Attributes under which attention modules keep their number of heads."""
WIDTHS = ("all_head_size", "dim")
"""Attributes under which attention modules keep the width of all heads together."""
CONFIG_FIELDS = ("num_attention_heads", "num_key_value_heads")


@dataclass(frozen=True)
class AttentionBlock:
    """One attention block.

    Query heads that share keys and values form a group and stay together: with ``n_groups`` groups, query head h
    belongs to group h // (n_heads // n_groups). Each head is ``head_width`` wide.
    """

    owner: nn.Module
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    out: nn.Linear
    n_heads: int
    n_groups: int
    head_width: int

    @property
    def group_width(self) -> int:
        """Features of all query heads of one group."""
        return self.n_heads // self.n_groups * self.head_width


@dataclass(frozen=True)
class Attention:
    """All attention blocks; ``in_config`` where the configuration, not the modules, says how many heads there are."""

    blocks: tuple[AttentionBlock, ...]
    in_config: bool

    @property
    def n_groups(self) -> int:
        """Heads of a block that can be dropped one by one, the fewest of any block."""
        return min(block.n_groups for block in self.blocks)


def find_attention(module: nn.Module) -> Attention | None:
    """The attention blocks, or None where heads cannot be told from the shapes.

    None too where other parameters of a block depend on the number of its heads, such as tables of position biases.
    """
    blocks = []
    for owner, query, key, value, out in _projections(module):
        n_heads = _n_heads(owner, query)
        if not n_heads or query.out_features % n_heads:
            return None
        width = query.out_features // n_heads
        n_groups = key.out_features // width
        fits = key.out_features == value.out_features == n_groups * width and out.in_features == query.out_features
        if not fits or not n_groups or n_heads % n_groups:
            return None
        block = AttentionBlock(owner, query, key, value, out, n_heads, n_groups, width)
        if _depends_otherwise(block):
            return None
        blocks.append(block)
    if not blocks:
        return None
    counted = {_count_attribute(block.owner) is not None for block in blocks}
    if counted == {True}:
        return Attention(tuple(blocks), False) if all(block.n_groups == block.n_heads for block in blocks) else None
    config = getattr(module, "config", None)
    said = tuple(getattr(config, field, None) for field in CONFIG_FIELDS)
    alike = {(block.n_heads, block.n_groups) for block in blocks} == {said}
    return Attention(tuple(blocks), True) if counted == {False} and alike else None


def count_attributes(block: AttentionBlock) -> dict[str, int]:
    """The attributes of a block's module that follow from its number of heads, and what each is per head."""
    found = {name: 1 for name in HEAD_COUNTS if _is_size(block.owner, name)}
    full = block.n_heads * block.head_width
    return found | {name: block.head_width for name in WIDTHS if vars(block.owner).get(name) == full}


def _projections(module: nn.Module) -> Iterator[tuple[nn.Module, nn.Linear, nn.Linear, nn.Linear, nn.Linear]]:
    """Attention modules with their projections into and out of the heads."""
    for path, owner in module.named_modules():
        children: dict[str, Any] = dict(owner.named_children())
        names = next((names for names in PROJECTIONS if all(_is_linear(children.get(name)) for name in names)), None)
        if "attention" not in type(owner).__name__.lower() or names is None:
            continue
        out = next((children[name] for name in OUTPUTS if name in children), None)
        if out is None:  # BERT and its kin keep it in the parent's `output`
            parent = module.get_submodule(path.rpartition(".")[0])
            out = getattr(getattr(parent, "output", None), "dense", None)
        if out is not None and _is_linear(out):
            query, key, value = (children[name] for name in names)
            yield owner, query, key, value, out


def _is_linear(part: Any) -> bool:
    from torch import nn

    return type(part) is nn.Linear


def _is_size(owner: nn.Module, name: str) -> bool:
    return type(vars(owner).get(name)) is int


def _count_attribute(owner: nn.Module) -> str | None:
    return next((name for name in HEAD_COUNTS if _is_size(owner, name)), None)


def _n_heads(owner: nn.Module, query: nn.Linear) -> int:
    name = _count_attribute(owner)
    if name is not None:
        return int(getattr(owner, name))
    width = vars(owner).get("head_dim")
    return query.out_features // width if isinstance(width, int) and width > 0 else 0


def _depends_otherwise(block: AttentionBlock) -> bool:
    """Whether the block has parameters besides its projections with a size that follows from the number of heads."""
    linears = (block.query, block.key, block.value, block.out)
    known = {id(parameter) for linear in linears for parameter in linear.parameters()}
    sizes = {block.n_heads, block.n_groups, block.query.out_features, block.key.out_features} - {block.head_width}
    others: list[Tensor] = [parameter for parameter in block.owner.parameters() if id(parameter) not in known]
    return any(size in sizes for parameter in others for size in parameter.shape if size > 1)
