"""The shape manifest: what it records, gives back, and refuses from a stranger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import MODELS, bert, compressed, output_of
from torch import nn

import autocompress
from autocompress.compressible import CompressibleModel
from autocompress.errors import ModelError
from autocompress.formats.pytorch.files import MANIFEST_FILE, read_module, write_files
from autocompress.model_state import restore_state, save_state
from autocompress.structure import Factored, Resized, Structure, restructure, sizes_of

HALF_HEADS: dict[str, Any] = {"heads": {"keep": 0.5}}
PLAIN_LOW_RANK: dict[str, Any] = {"low_rank": {"keep": 0.5, "activation_aware": False}}
EVEN_LAYERS: dict[str, Any] = {"layers": {"keep": 0.5, "strategy": "even"}}
RECIPES: dict[str, list[dict[str, Any]]] = {
    "bert": [EVEN_LAYERS, HALF_HEADS, {"ffn_width": {"keep": 0.5}}, PLAIN_LOW_RANK],
    "vit": [HALF_HEADS, PLAIN_LOW_RANK, EVEN_LAYERS],
    "llama": [PLAIN_LOW_RANK, EVEN_LAYERS],
    "wav2vec2": [HALF_HEADS, EVEN_LAYERS],
    "whisper": [HALF_HEADS, PLAIN_LOW_RANK],
}


class TinyNet(nn.Module):
    """Two linear layers of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(48, 64)
        self.second = nn.Linear(64, 40)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": self.second(self.first(x).relu())}


@pytest.mark.parametrize("name", RECIPES)
def test_several_changes_of_structure_come_back_from_the_stage_cache(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    model = compressed(build({}), tmp_path, *RECIPES[name])
    assert not model.structure.is_empty
    save_state(model, tmp_path)
    again = restore_state(tmp_path, build)
    assert again.structure == model.structure
    assert sizes_of(again.module) == sizes_of(model.module)
    found = again.module.state_dict()
    assert all(torch.equal(tensor, found[key]) for key, tensor in model.module.state_dict().items())
    # Sums may round otherwise where the weights lie in memory as in their file.
    np.testing.assert_allclose(output_of(again.module, inputs), output_of(model.module, inputs), atol=1e-6)


@pytest.mark.parametrize("last", [[], ["fp16"], [{"rtn": {"group_size": 16}}]])
@pytest.mark.parametrize("name", RECIPES)
def test_the_exported_folder_loads_with_its_manifest(name: str, last: list[Any], tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    model = compressed(build({}), tmp_path, *RECIPES[name], *last)
    folder = tmp_path / "out"
    folder.mkdir()
    write_files(model, folder, "text-classification")
    loaded = autocompress.load(folder, threads=1)
    tolerance = 1e-2 if "fp16" in last else 1e-6
    np.testing.assert_allclose(output_of(loaded, inputs), output_of(model.module, inputs), atol=tolerance)


def test_a_module_of_ones_own_is_rebuilt_from_its_file_and_the_manifest(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = TinyNet().eval()
    inputs = {"x": np.random.default_rng(0).normal(size=(2, 48)).astype(np.float32)}
    model = compressed(module, tmp_path, PLAIN_LOW_RANK)
    save_state(model, tmp_path)
    again = restore_state(tmp_path, lambda overrides: TinyNet())
    np.testing.assert_allclose(output_of(again.module, inputs), output_of(model.module, inputs), atol=1e-6)


def test_a_change_that_the_configuration_says_leaves_a_plain_folder(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, EVEN_LAYERS)
    folder = tmp_path / "out"
    folder.mkdir()
    write_files(model, folder, "text-classification")
    assert model.structure.is_empty
    assert not (folder / MANIFEST_FILE).exists()


def test_sizes_recorded_twice_end_at_the_last(tmp_path: Path) -> None:
    module = TinyNet()
    structure = Structure()
    for width in (50, 30):
        before = sizes_of(module)
        module.first = nn.Linear(48, width)
        module.second = nn.Linear(width, 40)
        structure = structure.with_sizes(before, module)
    assert structure.resized["first"] == Resized(
        shapes={"weight": (30, 48), "bias": (30,)}, attributes={"out_features": 30}
    )
    fresh = TinyNet()
    restructure(fresh, structure)
    assert sizes_of(fresh) == sizes_of(module)


def test_paths_are_renamed_and_dropped_by_whole_names() -> None:
    factored = Factored(in_features=4, out_features=4, rank=2)
    structure = Structure(factored={"layers.1.a": factored, "layers.10.a": factored, "layers.2": factored})
    renamed = structure.renamed({"layers.1": "layers.0", "layers.2": None})
    assert renamed.factored.keys() == {"layers.0.a", "layers.10.a"}


@pytest.mark.parametrize(
    "plain",
    [
        {"resized": {"bert": {"attributes": {"forward": 3}}}},
        {"resized": {"bert": {"attributes": {"out_features": 0}}}},
        {"resized": {"bert": {"attributes": {"out_features": True}}}},
        {"resized": {"bert": {"shapes": {"weight": [3, -1]}}}},
        {"resized": {"bert": {"shapes": {"weight": [2.5]}}}},
        {"resized": {"bert": {"code": "x"}}},
        {"factored": {"bert": {"rank": 3}}},
        {"modules": {}},
        [],
        "text",
    ],
)
def test_a_manifest_of_another_form_is_refused(plain: Any) -> None:
    with pytest.raises(ModelError):
        Structure.read(plain, "autocompress.json")


LAYER = "bert.encoder.layer.0.attention.self"


@pytest.mark.parametrize(
    "plain",
    [
        {"resized": {"bert.nothing": {"shapes": {"weight": [3]}}}},
        {"resized": {f"{LAYER}.query": {"shapes": {"nothing": [3]}}}},
        {"resized": {f"{LAYER}.query": {"shapes": {"weight": [10**9, 64]}}}},
        {"resized": {f"{LAYER}.query": {"shapes": {"weight": [64]}}}},
        {"resized": {f"{LAYER}.query": {"shapes": {"forward": [3]}}}},
        {"resized": {LAYER: {"attributes": {"num_attention_heads": 9}}}},
        {"resized": {LAYER: {"attributes": {"in_channels": 1}}}},
        {"factored": {LAYER: {"in_features": 4, "out_features": 4, "rank": 2}}},
        {"factored": {f"{LAYER}.query": {"in_features": 10**9, "out_features": 64, "rank": 2}}},
        {"factored": {f"{LAYER}.query": {"in_features": 64, "out_features": 64, "rank": 65}}},
    ],
)
def test_a_manifest_that_does_not_fit_the_model_is_refused(plain: Any) -> None:
    with pytest.raises(ModelError, match="does not fit the model"):
        restructure(bert(), Structure.read(plain, "autocompress.json"))


def test_a_tampered_manifest_in_a_folder_is_refused(tmp_path: Path) -> None:
    write_files(compressed(bert(), tmp_path, HALF_HEADS), tmp_path, "text-classification")
    manifest = json.loads((tmp_path / MANIFEST_FILE).read_text())
    manifest["structure"]["resized"][f"{LAYER}.query"]["shapes"]["weight"] = [16, 64]
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="of shape"):
        read_module(tmp_path)


def test_a_model_without_changes_has_an_empty_structure() -> None:
    assert CompressibleModel(bert()).structure.is_empty
