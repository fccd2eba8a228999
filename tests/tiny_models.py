"""Models with random weights, small enough to build in a test, and what a step needs to run on them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn

from autocompress.compressible import CompressibleModel, Inputs, StepContext
from autocompress.model_state import facts_of
from autocompress.recipe import steps_from_plain
from autocompress.stage_cache import StageCache

Overrides = Mapping[str, int]
NONE: Overrides = {}


def _built(kind: Any, config: Any, overrides: Overrides) -> nn.Module:
    for name, value in overrides.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    return kind(config).eval()


def bert(overrides: Overrides = NONE) -> nn.Module:
    """Two layers, 64 wide, a vocabulary of 300."""
    config = transformers.BertConfig(
        vocab_size=300, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128
    )
    return _built(transformers.BertForSequenceClassification, config, overrides)


def vit(overrides: Overrides = NONE) -> nn.Module:
    """Two layers on images of 16 × 16."""
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=16, patch_size=4
    )
    return _built(transformers.ViTForImageClassification, config, overrides)


def llama(overrides: Overrides = NONE) -> nn.Module:
    """Two layers with gated feed-forward blocks, embeddings shared with the output."""
    config = transformers.LlamaConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=80, max_position_embeddings=64, tie_word_embeddings=True,
    )  # fmt: skip
    return _built(transformers.LlamaForCausalLM, config, overrides)


def wav2vec2(overrides: Overrides = NONE) -> nn.Module:
    """Two layers on a short stack of convolutions, weight norm included."""
    config = transformers.Wav2Vec2Config(
        vocab_size=20, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        conv_dim=(16, 16), conv_stride=(5, 4), conv_kernel=(10, 8), num_feat_extract_layers=2,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    return _built(transformers.Wav2Vec2ForCTC, config, overrides)


def whisper(overrides: Overrides = NONE) -> nn.Module:
    """One encoder and one decoder layer, embeddings shared with the output."""
    config = transformers.WhisperConfig(
        vocab_size=60, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_source_positions=20,
        max_target_positions=16, num_mel_bins=8, pad_token_id=1, bos_token_id=2, eos_token_id=3,
        decoder_start_token_id=4,
    )  # fmt: skip
    return _built(transformers.WhisperForConditionalGeneration, config, overrides)


def resnet(overrides: Overrides = NONE) -> nn.Module:
    """Two stages of one block."""
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return _built(transformers.ResNetForImageClassification, config, overrides)


_RANDOM = np.random.default_rng(0)
_PIXELS = _RANDOM.normal(size=(1, 3, 16, 16)).astype(np.float32)
_TOKENS = np.arange(8)[None] + 5
MODELS: dict[str, tuple[Callable[[Overrides], nn.Module], Inputs]] = {
    "bert": (bert, {"input_ids": _TOKENS, "attention_mask": np.ones_like(_TOKENS)}),
    "vit": (vit, {"pixel_values": _PIXELS}),
    "llama": (llama, {"input_ids": _TOKENS, "attention_mask": np.ones_like(_TOKENS)}),
    "wav2vec2": (wav2vec2, {"input_values": _RANDOM.normal(size=(1, 800)).astype(np.float32)}),
    "whisper": (
        whisper,
        {
            "input_features": _RANDOM.normal(size=(1, 8, 40)).astype(np.float32),
            "decoder_input_ids": np.array([[4, 7, 9]]),
        },
    ),
    "resnet": (resnet, {"pixel_values": _PIXELS}),
}
"""Name to how it is built, with overridden configuration fields, and the inputs of one call."""


def token_calls(n_calls: int, n_tokens: int = 8, vocabulary: int = 100) -> list[Inputs]:
    """Random sentences for the models of text."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, vocabulary, (n_calls, 1, n_tokens))
    return [{"input_ids": call, "attention_mask": np.ones_like(call)} for call in tokens]


def training_inputs(name: str, n_samples: int = 24) -> list[Inputs]:
    """Inputs like those of one call, of random values and two lengths of tokens, with labels."""
    random = np.random.default_rng(0)
    example = MODELS[name][1]
    samples: list[Inputs] = []
    for number in range(n_samples):
        inputs: dict[str, np.ndarray] = {}
        for key, array in example.items():
            if array.dtype == np.float32:
                inputs[key] = random.normal(size=array.shape).astype(np.float32)
            elif key == "attention_mask":
                inputs[key] = array[:, number % 2 :]
            else:
                inputs[key] = random.integers(5, 50, size=array.shape)[:, number % 2 :]
        if name == "llama":
            inputs["labels"] = inputs["input_ids"]
        elif name in ("wav2vec2", "whisper"):
            n_tokens = inputs["decoder_input_ids"].shape[1] if name == "whisper" else 2 + number % 2
            inputs["labels"] = random.integers(5, 20, size=(1, n_tokens))
        else:
            inputs["labels"] = np.array([number % 2])
        samples.append(inputs)
    return samples


def step_context(
    module: nn.Module,
    folder: Path,
    example: Inputs | None = None,
    device: str = "cpu",
    calibration: Sequence[Inputs] = (),
) -> StepContext:
    """A context with as much data as is given; the module as it is teaches, those of `MODELS` with training data."""
    name = next((name for name in MODELS if type(module).__name__.lower().startswith(name)), None)
    teacher = copy.deepcopy(module)
    return StepContext(
        facts=facts_of(module, "text-classification"),
        calibration=lambda: calibration,
        training=lambda: training_inputs(name) if name else [],
        teacher=lambda: copy.deepcopy(teacher).float().requires_grad_(False).to(device),
        scratch=folder / "scratch",
        example=example or {},
        task="text-classification",
        device=device,
        seed=0,
        cache=StageCache(folder / "cache", cap_bytes=10**9),
        model_key="test",
        progress=lambda done, total: None,
    )


def compressed(module: nn.Module, folder: Path, *steps: Any, calibration: Sequence[Inputs] = ()) -> CompressibleModel:
    """The module after these steps, written as in a recipe."""
    context = step_context(module, folder, calibration=calibration)
    model = CompressibleModel(module)
    for step in steps_from_plain(steps):
        assert step.refuses(context.facts) is None
        step.apply(model, context)
    return model


def output_of(module: nn.Module, inputs: Inputs) -> np.ndarray:
    """The first output of one call, in float32."""
    dtype = next(module.parameters()).dtype
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    tensors = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    with torch.inference_mode():
        return next(iter(module(**tensors).values())).float().numpy()
