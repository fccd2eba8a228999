"""What greedy decoding needs to know of a model's generation settings, as plain data beside the graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

DEFAULT_MAX_LENGTH = 20
"""What transformers assumes where neither a length nor a number of new tokens is given."""


@dataclass(frozen=True)
class GenerationSettings:
    """Greedy decoding's settings, named as in transformers' generation configuration.

    Attributes:
        prompt_ids: tokens an encoder-decoder's answer starts with: its start token, then the forced ones.
        forced_ids: position and token pairs that are forced after the prompt.
        max_length, min_length: of prompt and answer together, in tokens.
        bare_answer: whether prompt and end are left out of what is given back, as Whisper's ``generate`` does.
    """

    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int = 0
    prompt_ids: tuple[int, ...] = ()
    forced_ids: tuple[tuple[int, int], ...] = ()
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    repetition_penalty: float = 1.0
    max_length: int = DEFAULT_MAX_LENGTH
    min_length: int = 0
    bare_answer: bool = False

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> GenerationSettings:
        """Read what `plain` gave."""
        pairs = tuple((int(position), int(token)) for position, token in plain["forced_ids"])
        lists = {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
        return cls(**{**plain, **lists, "forced_ids": pairs})

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    def prompt(self, batch: int) -> npt.NDArray[np.int64]:
        """The tokens an answer starts with, shape (batch, length)."""
        return np.tile(np.array(self.prompt_ids, np.int64), (batch, 1))

    def limited(self, max_new_tokens: int, min_new_tokens: int, prompt_length: int) -> GenerationSettings:
        """The settings of one call: the number of new tokens takes the place of the configured lengths."""
        least = max(self.min_length, prompt_length + min_new_tokens) if min_new_tokens else self.min_length
        return replace(self, max_length=prompt_length + max_new_tokens, min_length=least)

    def answer(self, ids: npt.NDArray[np.int64], prompt_length: int) -> npt.NDArray[np.int64]:
        """What `generate` gives back of prompt and answer together, shape (batch, length)."""
        if not self.bare_answer:
            return ids
        bare = ids[:, prompt_length:]
        ended = np.isin(bare, (*self.eos_token_ids, self.pad_token_id)).all(axis=0)
        kept = np.flatnonzero(~ended)
        return bare[:, : kept[-1] + 1 if kept.size else 0]
