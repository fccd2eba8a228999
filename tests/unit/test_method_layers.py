"""Dropping layers leaves a model that computes what the original computes without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tiny_models import MODELS, bert, compressed, output_of, resnet, step_context
from torch import nn

from autocompress.compressible import CompressibleModel
from autocompress.errors import Unsupported
from autocompress.formats.pytorch.files import MANIFEST_FILE, write_files
from autocompress.layer_stacks import find_layer_stacks
from autocompress.methods.layers import Layers, evenly, influences, most_influential
from autocompress.model_state import facts_of

FOUR = {"num_hidden_layers": 4}
DEEPER = {
    "bert": FOUR,
    "vit": FOUR,
    "llama": FOUR,
    "wav2vec2": FOUR,
    "whisper": {"encoder_layers": 4, "decoder_layers": 4, "num_hidden_layers": 4},
}


class Skipped(nn.Module):
    """A layer that gives what it was given."""

    def __init__(self, gives_tuple: bool) -> None:
        super().__init__()
        self.gives_tuple = gives_tuple

    def forward(self, hidden_states: torch.Tensor, *args: object, **kwargs: object) -> object:
        return (hidden_states,) if self.gives_tuple else hidden_states


def without(module: nn.Module, dropped: dict[str, list[int]], gives_tuple: bool) -> nn.Module:
    """The module with layers replaced by ones that do nothing."""
    for stack in find_layer_stacks(module):
        for index in dropped[stack.part]:
            stack.layers[index] = Skipped(gives_tuple)
    return module


@pytest.mark.parametrize("name", DEEPER)
def test_the_result_computes_what_the_original_does_without_the_dropped_layers(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    model = compressed(build(DEEPER[name]), tmp_path, {"layers": {"keep": 0.5, "strategy": "even"}})
    parts = [stack.part for stack in find_layer_stacks(model.module)]
    gives_tuple = name in ("bert", "wav2vec2", "whisper")
    expected = output_of(without(build(DEEPER[name]), {part: [1, 2] for part in parts}, gives_tuple), inputs)
    np.testing.assert_allclose(output_of(model.module, inputs), expected, atol=1e-6)
    rebuilt = build({**DEEPER[name], **model.overrides})
    rebuilt.load_state_dict(model.module.state_dict())
    assert np.array_equal(output_of(rebuilt, inputs), output_of(model.module, inputs))


@pytest.mark.parametrize("name", DEEPER)
def test_plain_from_pretrained_loads_the_exported_folder(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    model = compressed(build(DEEPER[name]), tmp_path, {"layers": {"keep": 0.5, "strategy": "last"}})
    folder = tmp_path / "out"
    folder.mkdir()
    write_files(model, folder, "text-classification")
    assert not (folder / MANIFEST_FILE).exists()
    loaded, report = type(model.module).from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    np.testing.assert_allclose(output_of(loaded.eval(), inputs), output_of(model.module, inputs), atol=1e-6)


@pytest.mark.parametrize("name", ["llama", "whisper"])
def test_decoding_with_a_cache_still_equals_decoding_without(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    module = compressed(build(DEEPER[name]), tmp_path, {"layers": {"keep": 0.5, "strategy": "even"}}).module
    given = {key: torch.from_numpy(value) for key, value in inputs.items() if key != "decoder_input_ids"}
    tokens = [
        module.generate(**given, max_new_tokens=6, min_new_tokens=6, do_sample=False, use_cache=cached)
        for cached in (True, False)
    ]
    assert torch.equal(tokens[0], tokens[1])


def test_one_part_of_an_encoder_decoder_can_be_made_shallower(tmp_path: Path) -> None:
    build, _ = MODELS["whisper"]
    knobs = {"keep": 0.5, "strategy": "last", "part": "decoder"}
    model = compressed(build(DEEPER["whisper"]), tmp_path, {"layers": knobs})
    assert model.overrides == {"decoder_layers": 2}
    assert [len(stack.layers) for stack in find_layer_stacks(model.module)] == [4, 2]


@pytest.mark.parametrize("name", DEEPER)
def test_influence_is_one_minus_the_cosine_of_a_layers_input_and_output(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    module = build(DEEPER[name])
    context = step_context(module, tmp_path)
    object.__setattr__(context, "calibration", lambda: [inputs] * 2)
    stack = find_layer_stacks(module)[-1]
    tensors = {key: torch.from_numpy(value) for key, value in inputs.items()}
    states: list[np.ndarray] = []
    for index in range(len(stack.layers)):  # each alone, by a hook before it and the one after it
        seen: list[np.ndarray] = []

        def keep(part: nn.Module, args: tuple, kwargs: dict, output: object, seen: list = seen) -> None:
            seen.extend(
                tensor.detach().numpy().astype(np.float64)
                for tensor in (args[0] if args else kwargs["hidden_states"], output)
                if isinstance(tensor, torch.Tensor)
            )
            if isinstance(output, tuple):
                seen.append(output[0].detach().numpy().astype(np.float64))

        with stack.layers[index].register_forward_hook(keep, with_kwargs=True):
            module(**tensors)
        before, after = seen
        products = (before * after).sum(-1)
        norms = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
        states.append(1 - (products / norms).mean())
    np.testing.assert_allclose(influences(module, stack, context), states, rtol=1e-5)


def test_a_layer_that_does_nothing_goes_first(tmp_path: Path) -> None:
    module = bert(FOUR)
    with torch.no_grad():
        idle = module.bert.encoder.layer[1]
        for dense in (idle.attention.output.dense, idle.output.dense):
            dense.weight.zero_()
            dense.bias.zero_()
    inputs = MODELS["bert"][1]
    expected = output_of(without(bert(FOUR), {"model": [1]}, gives_tuple=True), inputs)
    context = step_context(module, tmp_path)
    object.__setattr__(context, "calibration", lambda: [inputs])
    model = CompressibleModel(module)
    Layers(keep=0.75, strategy="influence").apply(model, context)
    np.testing.assert_allclose(output_of(module, inputs), expected, atol=1e-5)


def test_influence_without_data_says_what_to_do(tmp_path: Path) -> None:
    module = bert()
    with pytest.raises(Unsupported, match="strategy: even"):
        Layers(keep=0.5).apply(CompressibleModel(module), step_context(module, tmp_path))


def test_even_layers_are_at_equal_distances() -> None:
    assert evenly(12, 6) == [0, 2, 4, 7, 9, 11]
    assert evenly(6, 3) == [0, 3, 5]
    assert evenly(4, 1) == [0]
    assert all(len(set(evenly(count, kept))) == kept for count in range(1, 30) for kept in range(1, count + 1))


def test_of_equal_influences_the_earlier_stays() -> None:
    assert most_influential([0.5, 0.1, 0.5, 0.5], 2) == [0, 2]


@pytest.mark.parametrize(
    ("step", "facts", "reason"),
    [
        (Layers(), facts_of(resnet(), "any"), "no number of equal layers"),
        (Layers(keep=0.84), facts_of(bert(), "any"), "drops none"),
        (Layers(part="decoder"), facts_of(bert(), "any"), "no decoder"),
    ],
)
def test_models_that_cannot_lose_a_layer_are_refused(step: Layers, facts: object, reason: str) -> None:
    assert reason in str(step.refuses(facts))


def test_layers_of_several_kinds_are_left_alone() -> None:
    config = transformers.T5Config(vocab_size=50, d_model=32, d_kv=8, d_ff=64, num_layers=3, num_heads=4)
    assert find_layer_stacks(transformers.T5ForConditionalGeneration(config)) == ()
