from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from recipe_strategies import steps
from run_example import CERTIFICATE, ENVIRONMENT, example_records, prepared

from autocompress import registry
from autocompress.errors import RecipeError
from autocompress.recipe_file import (
    Export,
    Measured,
    MeasuredLatency,
    MeasuredOn,
    MeasuredQuality,
    Origin,
    ProducedArtifact,
    RecipeData,
    RecipeFile,
    RecipeModel,
    read_recipe,
)
from autocompress.recipe_yaml import recipe_yaml, write_recipe
from autocompress.records import ArtifactFile, Environment, Estimate
from autocompress.spec import DataSpec, ModelSpec


def example_document() -> RecipeFile:
    records = example_records()
    return RecipeFile.of_trial(
        records[3],
        records[0],
        run="sentiment",
        model=ModelSpec(path="models/minilm-sst2", options={"length": 32}),
        data=DataSpec(path="data/sst2/train.tsv", columns={"text": "sentence"}),
        prepared=prepared(),
        date="2026-11-20",
        certificate=CERTIFICATE,
    )


floats = st.floats(allow_nan=False)
texts = st.text(max_size=30)
digests = st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}")
estimates = st.builds(Estimate, value=floats, low=floats, high=floats, level=floats)
sizes = st.integers(0, 10**12)
data = st.builds(
    RecipeData,
    path=texts,
    columns=st.dictionaries(texts, texts, max_size=2),
    samples=st.dictionaries(st.sampled_from(["search", "holdout"]), st.integers(1, 10**6)),
    split=st.none() | texts,
    digests=st.dictionaries(st.sampled_from(["calibration", "holdout"]), digests),
)
models = st.builds(
    RecipeModel,
    path=texts,
    revision=st.none() | texts,
    task=st.sampled_from(registry.names("tasks")),
    options=st.dictionaries(texts, st.booleans() | st.integers(-(2**60), 2**60) | floats | texts, max_size=3),
)
measured = st.builds(
    Measured,
    size_bytes=st.none() | sizes,
    latency=st.none() | st.builds(MeasuredLatency, p50_ms=floats, p95_ms=floats, speedup=estimates),
    quality=st.none()
    | st.builds(
        MeasuredQuality, metric=texts, value=floats, drop=estimates, relative_drop=estimates, n_samples=st.integers(1)
    ),
    certificate=st.none() | texts,
    measured_on=st.none()
    | st.builds(MeasuredOn, machine=texts, threads=st.integers(1, 64), date=st.dates().map(lambda day: f"{day}")),
)
files = st.builds(ArtifactFile, path=st.text("ab.", max_size=1).map(lambda t: f"x{t}"), size_bytes=sizes, sha256=texts)
documents = st.builds(
    RecipeFile,
    origin=st.none() | st.builds(Origin, run=texts, trial=st.integers(0, 10**6)),
    model=models,
    data=st.none() | data,
    steps=steps(),
    export=st.builds(Export, format=st.sampled_from(registry.names("formats"))),
    seed=st.integers(0, 2**32 - 1),
    measured=st.none() | measured,
    versions=st.dictionaries(texts, texts, max_size=3),
    artifact=st.none() | st.builds(ProducedArtifact, digest=digests, files=st.lists(files, max_size=2).map(tuple)),
)


@given(documents)
def test_what_is_written_is_read_back_the_same(tmp_path_factory: pytest.TempPathFactory, document: RecipeFile) -> None:
    path = tmp_path_factory.getbasetemp() / "recipe.yaml"
    write_recipe(document, path)
    assert read_recipe(path) == document


@given(documents)
def test_other_yaml_readers_understand_it_too(document: RecipeFile) -> None:
    plain = yaml.safe_load(recipe_yaml(document))
    assert plain["format_version"] == 1
    assert plain["model"]["path"] == document.model.path
    assert [next(iter(step)) for step in plain["steps"]] == [step.tag for step in document.steps]


def test_the_same_document_is_always_the_same_text() -> None:
    assert recipe_yaml(example_document()) == recipe_yaml(example_document())
    keys = re.findall(r"^([a-z_]+):", recipe_yaml(example_document()), re.MULTILINE)
    assert keys == list(RecipeFile.model_fields)


def test_the_file_says_what_it_is_and_fits_a_screen() -> None:
    text = recipe_yaml(example_document())
    assert text.startswith("# An autocompress recipe")
    assert "autocompress apply" in text
    assert "size_ratio: 0.254  # of the original's size" in text
    assert "vram_bytes: null" in text
    assert all(len(line) <= 140 for line in text.splitlines())


def test_a_written_recipe_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "recipe.yaml"
    write_recipe(example_document(), path)
    write_recipe(example_document(), path)
    assert [file.name for file in path.parent.iterdir()] == ["recipe.yaml"]


def test_figures_that_were_not_measured_are_null_and_never_zero() -> None:
    records = example_records()
    document = RecipeFile.of_trial(
        records[10], records[0], run="r", model=ModelSpec(path="m"), data=None, prepared=prepared(), date="2026-11-20"
    )
    plain = yaml.safe_load(recipe_yaml(document))["measured"]
    assert plain["latency"] is None
    assert plain["quality"] is None
    assert plain["ram_bytes"] is None
    assert "certified" not in plain


def test_figures_of_a_gpu_are_told_with_its_name() -> None:
    records = example_records()
    environment = ENVIRONMENT.model_copy(update={"device": "cuda", "gpu": "NVIDIA H200", "driver": "580.1"})
    record = records[3].model_copy(update={"environment": Environment.model_validate(environment.model_dump())})
    document = RecipeFile.of_trial(
        record, records[0], run="r", model=ModelSpec(path="m"), data=None, prepared=prepared(), date="2026-11-20"
    )
    plain = yaml.safe_load(recipe_yaml(document))["measured"]["measured_on"]
    assert (plain["device"], plain["gpu"]) == ("cuda", "NVIDIA H200")


def test_the_recipe_inside_is_the_trial_s_own() -> None:
    assert example_document().recipe == example_records()[3].recipe.canonical()


def edited(path: Path, old: str, new: str) -> Path:
    text = recipe_yaml(example_document())
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


EDITS: dict[str, tuple[str, str, str]] = {
    "a near miss of a knob": ("sparsity:", "sparsty:", r"steps\[0\]\.magnitude\.sparsty: unknown key\. Did you mean"),
    "a knob out of bounds": ("sparsity: 0.3", "sparsity: 1.3", r"steps\[0\]\.magnitude\.sparsity: .*\(got 1\.3\)"),
    "a near miss of a method": ("- int8_dynamic:", "- int8_dynamik:", r"steps\[1\]: .*Did you mean 'int8_dynamic'\?"),
    "a near miss of a format": ("format: onnx", "format: onxx", r"export\.format: .*Did you mean 'onnx'\?"),
    "a near miss of a task": ("task: text", "task: txt", r"model\.task: .*Did you mean 'text-classification'\?"),
    "a near miss of a section": ("\nexport:", "\nexprt:", r"export: is required|exprt: unknown key"),
    "a key that does not belong": ("\nseed:", "\noutput: /etc\nseed:", r"output: unknown key"),
    "an unknown version": ("format_version: 1", "format_version: 3", r"format_version: .*3 is not known.*version 1;"),
    "a version as a word": ("format_version: 1", "format_version: one", r"format_version: version 'one' is not known"),
    "a version as a truth": ("format_version: 1", "format_version: true", r"format_version: version True is not known"),
    "no version": ("format_version: 1", "", r"format_version: does not say .* Write `format_version: 1`"),
    "a digest cut short": ("digest: sha256:ab", "digest: sha256:", r"model\.digest: "),
    "a file outside the folder": ("path: model.onnx", "path: ../../model.onnx", r"artifact\.files\[0\]: .*leads out"),
    "an absolute file": ("path: model.onnx", "path: /etc/passwd", r"artifact\.files\[0\]: .*leads out"),
    "a typo in a file": ("size_bytes: 23080460\n      sha", "size: 23080460\n      sha", r"artifact\.files\[0\]\.size"),
    "permission to run code": ("\n  task:", "\n  trust_remote_code: true\n  task:", r"model\.trust_remote_code: "),
    "a python object": ("seed: 0", "seed: !!python/name:os.system", r":\d+:\d+: .*the tag .* is not allowed"),
    "an anchor": ("seed: 0", "seed: &s 0", r":\d+:\d+: .*anchors and aliases"),
    "a section twice": ("seed: 0", "seed: 0\nseed: 1", r":\d+:\d+: .*'seed' stands twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_a_wrong_recipe_is_refused_by_file_and_place(name: str, tmp_path: Path) -> None:
    old, new, sentence = EDITS[name]
    path = edited(tmp_path / "recipe.yaml", old, new)
    with pytest.raises(RecipeError, match=sentence) as caught:
        read_recipe(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_steps_out_of_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "format_version: 1\nmodel: {path: m, task: own}\nsteps: [rtn, magnitude]\nexport: {format: pytorch}\n"
    )
    with pytest.raises(RecipeError, match=r"steps\[1\]: magnitude \(prune\) cannot follow rtn \(quantize\)"):
        read_recipe(path)


def test_a_short_recipe_by_hand_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("format_version: 1\nmodel: {path: m, task: own}\nsteps: [fp16]\nexport: {format: onnx}\n")
    assert str(read_recipe(path).recipe) == "fp16 → onnx"


@given(
    st.dictionaries(st.sampled_from([*RecipeFile.model_fields, "other"]), st.none() | texts | st.lists(st.integers()))
)
def test_no_nonsense_leads_to_anything_but_a_recipe_error(
    tmp_path_factory: pytest.TempPathFactory, plain: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "nonsense.yaml"
    path.write_text(yaml.safe_dump({"format_version": 1} | plain))
    with pytest.raises(RecipeError):
        read_recipe(path)
