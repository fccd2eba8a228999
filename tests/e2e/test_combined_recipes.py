"""Methods of every phase in one recipe, on a real model, from the recipe's text to measured files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autocompress.errors import RecipeError
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.search.bench import Bench
from autocompress.spec import SearchSpec

PRUNED = [
    {"magnitude": {"sparsity": 0.3}},
    {"distil": {"steps": 300}},
    {"kmeans": {"n_centroids": 16, "scope": "attention"}},
    {"gptq": {"bits": 4, "group_size": 64, "scope": "layers"}},
]
NARROWED = [
    {"layers": {"keep": 0.8, "strategy": "even"}},
    {"ffn_width": {"keep": 0.7}},
    {"distil": {"steps": 30}},
    *PRUNED[2:],
]


@pytest.fixture(scope="module")
def bench(assets: Path) -> Any:
    spec = SearchSpec.model_validate(
        {
            "model": {"path": str(assets / "models/fashion-vit-small")},
            "data": {
                "path": str(assets / "data/fashion-mnist/fashion_mnist.npz"),
                "columns": {"image": "test_images", "label": "test_labels"},
                "samples": {"search": 300, "calibration": 32},
            },
        }
    )
    with Bench(spec, on_progress=lambda _: None) as made:
        yield made


@pytest.mark.parametrize(("steps", "largest_share"), [(PRUNED, 0.22), (NARROWED, 0.2)], ids=["pruned", "narrowed"])
def test_pruned_distilled_clustered_and_quantized_it_still_tells_clothes_apart(
    bench: Bench, steps: list[Any], largest_share: float, tmp_path: Path
) -> None:
    built = bench.build(Recipe(steps=steps_from_plain(steps), format="onnx"), tmp_path / "small")
    measured = bench.measure("onnx", tmp_path / "small", figures=frozenset({"quality"}))
    original = bench.original[1]
    assert original.size_bytes is not None
    assert built.artifact.size_bytes < largest_share * original.size_bytes
    assert measured.quality is not None
    assert measured.quality.drop.value < 0.06
    assert [stage.stage for stage in built.stages if stage.stage in str(steps)] == [next(iter(step)) for step in steps]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([{"kmeans": {"scope": "all"}}, "gptq"], "gptq: kmeans has stored every weight"),
        (["low_rank", "ffn_width"], "ffn_width: "),
        (["distil"], "distil: "),
        (["channels"], "channels: "),
    ],
    ids=str,
)
def test_what_cannot_combine_is_refused_before_anything_is_computed(
    bench: Bench, steps: list[Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=reason):
        bench.build(Recipe(steps=steps_from_plain(steps), format="onnx"), tmp_path / "never")
    assert not (tmp_path / "never").exists()
