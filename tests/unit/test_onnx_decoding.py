"""What greedy decoding makes of generation settings, held to transformers' own logits processors."""

from __future__ import annotations

import numpy as np
import torch
from transformers import LogitsProcessorList
from transformers.generation import (
    MinLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from autocompress.formats.onnx.decoding import choose
from autocompress.formats.onnx.generation import GenerationSettings


def test_tokens_are_chosen_as_transformers_processors_choose_them() -> None:
    rng = np.random.default_rng(0)
    settings = GenerationSettings(
        eos_token_ids=(3,), suppress_tokens=(5, 7), begin_suppress_tokens=(9,), repetition_penalty=1.4, min_length=4
    )
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.4),
            MinLengthLogitsProcessor(4, [3]),
            SuppressTokensLogitsProcessor([5, 7]),
            SuppressTokensAtBeginLogitsProcessor([9], 2),
        ]
    )
    for length in (2, 3, 4, 6):
        for _ in range(50):
            logits = rng.normal(size=(3, 12)).astype(np.float32)
            answer = rng.integers(0, 12, (3, length))
            expected = processors(torch.from_numpy(answer), torch.from_numpy(logits)).argmax(-1).numpy()
            np.testing.assert_array_equal(choose(logits, answer, 2, settings), expected)


def test_a_forced_token_is_taken_at_its_position_only() -> None:
    settings = GenerationSettings(forced_ids=((2, 4),))
    logits = np.eye(6, dtype=np.float32)[[1]]
    assert choose(logits, np.zeros((1, 2), np.int64), 1, settings) == [4]
    assert choose(logits, np.zeros((1, 3), np.int64), 1, settings) == [1]


def test_settings_survive_json() -> None:
    settings = GenerationSettings(eos_token_ids=(1, 2), prompt_ids=(3,), forced_ids=((1, 5),), bare_answer=True)
    plain = {
        key: [list(v) if isinstance(v, tuple) else v for v in value] if isinstance(value, tuple) else value
        for key, value in settings.plain().items()
    }
    assert GenerationSettings.from_plain(plain) == settings


def test_a_bare_answer_leaves_out_prompt_and_end_and_keeps_inner_tokens() -> None:
    settings = GenerationSettings(eos_token_ids=(9,), pad_token_id=9, prompt_ids=(1,), bare_answer=True)
    ids = np.array([[1, 4, 5, 9, 9], [1, 4, 9, 9, 9]])
    np.testing.assert_array_equal(settings.answer(ids, 1), [[4, 5], [4, 9]])


def test_the_number_of_new_tokens_takes_the_place_of_the_configured_length() -> None:
    limited = GenerationSettings(max_length=20).limited(8, 8, prompt_length=3)
    assert (limited.max_length, limited.min_length) == (11, 11)
