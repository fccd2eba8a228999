"""Where a transformer's feed-forward blocks are, found by the shapes of its layers rather than by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

WIDTH_FIELDS = ("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_dim", "d_ff")
"""Configuration fields under which models of Hugging Face keep their feed-forward width."""

_LAYER = re.compile(r"(.*\.\d+)\.")


@dataclass(frozen=True)
class FeedForwardBlock:
    """One block: one or two projections from hidden to width (two if gated), and one back."""

    ups: tuple[nn.Linear, ...]
    down: nn.Linear


@dataclass(frozen=True)
class FeedForward:
    """All feed-forward blocks of a model, of one width, and the configuration fields that say it."""

    width: int
    config_fields: tuple[str, ...]
    blocks: tuple[FeedForwardBlock, ...]


def find_feed_forward(module: nn.Module) -> FeedForward | None:
    """The feed-forward blocks, or None where no configuration can express another width.

    None too wherever shapes leave a doubt: blocks of several widths, a layer with more than one projection back, or an
    attention as wide as the block.
    """
    config = getattr(module, "config", None)
    if config is None:
        return None
    plain = config.to_dict()
    fields = tuple(name for name in WIDTH_FIELDS if isinstance(plain.get(name), int))
    widths = {plain[name] for name in fields}
    if len(widths) != 1:
        return None
    (width,) = widths
    blocks = []
    for layers in _linears_by_layer(module).values():
        downs = [layer for layer in layers if layer.in_features == width and layer.out_features != width]
        ups = [layer for layer in layers if layer.out_features == width and layer.in_features != width]
        if not downs and not ups:
            continue
        if len(downs) != 1 or len(ups) not in (1, 2) or any(up.in_features != downs[0].out_features for up in ups):
            return None
        blocks.append(FeedForwardBlock(tuple(ups), downs[0]))
    return FeedForward(width, fields, tuple(blocks)) if blocks else None


def _linears_by_layer(module: nn.Module) -> dict[str, list[nn.Linear]]:
    """Linear modules under the path of the repeated layer they belong to, such as ``encoder.layer.3``."""
    from torch import nn

    layers: dict[str, list[nn.Linear]] = defaultdict(list)
    for path, child in module.named_modules():
        match = _LAYER.match(path)
        if match and isinstance(child, nn.Linear):
            layers[match[1]].append(child)
    return layers
