"""Input that cannot be used: one sentence that names the place, the problem and the cure; no run is left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import yaml
from command_line import TASK_FILE, CommandLine

REVIEWS = "review,label\n" + "".join(f"some text {n},{n % 2}\n" for n in range(40))


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a text classifier, as far as it is looked at before anything is loaded."""
    folder = tmp_path_factory.mktemp("bert")
    tiny_models.bert().save_pretrained(folder)
    return folder


@pytest.fixture
def refused(cli: CommandLine, bert: Path) -> Any:
    """Searches with a table of this content and these options, and gives the error."""

    def search(content: str | None, *options: object, name: str = "reviews.csv") -> str:
        if content is not None:
            (cli.folder / name).write_text(content)
        told = cli.refuses("search", "--model", bert, "--data", name, *options)
        assert not cli.runs.exists() or not any(cli.runs.iterdir())
        return told

    return search


# Data ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        pytest.param("", (), ["reviews.csv", "the file is empty"], id="empty file"),
        pytest.param(None, (), ["reviews.csv", "there is no such file"], id="no file"),
        pytest.param("text,label\n", (), ["reviews.csv", "no rows"], id="no rows"),
        pytest.param(REVIEWS.replace("review", "opinion"), (), ["no column for the text", "'opinion'"], id="no column"),
        pytest.param(REVIEWS.replace(",label", ",labels_"), (), ["Did you mean 'labels_'?"], id="near miss"),
        pytest.param(
            REVIEWS,
            ("--column", "text=reveiw"),
            ["data.columns.text", "Did you mean 'review'?"],
            id="mapped to no column",
        ),
        pytest.param(
            REVIEWS, ("--column", "txt=review"), ["data.columns.txt", "Its roles: text"], id="mapped from no role"
        ),
        pytest.param(REVIEWS, ("--column", "text"), ["--column", "text=review"], id="no mapping"),
        pytest.param(REVIEWS.replace(",0", ",1"), (), ["reviews.csv", "class"], id="one class"),
        pytest.param(REVIEWS.replace("some text 7,", ","), (), ["text is empty in 1 of"], id="empty cell"),
    ],
)
def test_data_that_cannot_be_used_is_told_apart(
    refused: Any, content: str | None, options: tuple[str, ...], expected: list[str]
) -> None:
    told = refused(content, *options)
    assert all(part in told for part in expected), told


def test_unreadable_audio_names_the_table_and_the_row(cli: CommandLine) -> None:
    import soundfile
    import transformers

    model, corpus = cli.folder / "wav2vec2", cli.folder / "corpus"
    tiny_models.wav2vec2().save_pretrained(model)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(model)
    corpus.mkdir()
    for n in range(12):
        soundfile.write(corpus / f"{n}.wav", np.zeros(1600, np.float32), 16_000)
    (corpus / "5.wav").write_bytes(b"no sound")
    rows = "".join(f"{n}.wav,one two\n" for n in range(12))
    (corpus / "transcripts.csv").write_text("audio,text\n" + rows)
    told = cli.refuses("search", "--model", model, "--data", corpus / "transcripts.csv", "--task", "speech-ctc")
    assert "5.wav" in told or "row" in told


# Models -------------------------------------------------------------------------------------------------------------


def test_an_unknown_id_without_a_network_is_told_so(cli: CommandLine) -> None:
    told = cli.refuses("search", "--model", "nobody/no-such-model", "--data", "x.csv")
    assert "nobody/no-such-model" in told
    assert "the hub cannot be reached" in told


def test_pickled_weights_are_refused_unless_allowed(cli: CommandLine, bert: Path) -> None:
    model = cli.folder / "pickled"
    model.mkdir()
    (model / "config.json").write_text((bert / "config.json").read_text())
    proof = cli.folder / "proof"
    (model / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch " + str(proof).encode() + b"'\ntR.")
    (cli.folder / "reviews.csv").write_text(REVIEWS)
    arguments = ("search", "--model", model, "--data", "reviews.csv", "--column", "text=review")
    told = cli.refuses(*arguments)
    assert "--allow-pickle" in told
    assert not proof.exists()


def test_a_task_file_that_does_not_exist_is_told_before_anything_starts(cli: CommandLine) -> None:
    ended = cli("search", "--task-file", "none.py", code=2)
    assert "none.py" in ended.error
    assert "run none" not in ended.err


# Specs and command lines --------------------------------------------------------------------------------------------


def spec(**changes: Any) -> str:
    return yaml.safe_dump({"model": {"path": "m", "task_file": str(TASK_FILE)}, **changes})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (spec(constraint={"size": "1MB"}), ["spec.yaml: constraint", "Did you mean 'constraints'?"]),
        (spec(constraints={"quality_dorp": "1%"}), ["constraints.quality_dorp", "Did you mean 'quality_drop'?"]),
        (spec(budget={"trials": "many"}), ["budget.trials", "'many'"]),
        (spec(constraints={"size": "big"}), ["constraints.size", "25MB or 0.3x"]),
        (spec(space={"methods": ["int8_dinamic"]}), ["space.methods", "Did you mean 'int8_dynamic'?"]),
        (spec(space={"formats": ["onyx"]}), ["space.formats", "Did you mean 'onnx'?"]),
        (spec(constraints={"vram": "1GB"}), ["constraints.vram", "--device cuda"]),
        ("model: !!python/object/apply:os.system ['touch proof']", ["spec.yaml:1:", "tag"]),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", ["spec.yaml:1:", "anchors and aliases are not allowed"]),
        ("model: {path: m}\nmodel: {path: n}", ["spec.yaml:2:", "'model' stands twice"]),
        ("[" * 20_000, ["spec.yaml", "nested too deeply"]),
        ("model: {path: '${NOT_SET_ANYWHERE}'}", ["model.path", "NOT_SET_ANYWHERE is not set"]),
        ("- a\n- b", ["spec.yaml", "mapping"]),
        ("format_version: 1\nsteps: []", ["is a recipe", "`autocompress apply spec.yaml -o FOLDER`"]),
    ],
)
def test_a_wrong_spec_is_told_with_its_place(cli: CommandLine, text: str, expected: list[str]) -> None:
    (cli.folder / "spec.yaml").write_text(text)
    told = cli.refuses("search", "spec.yaml")
    assert all(part in told for part in expected), told
    assert not (cli.folder / "proof").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--max-quality-drop", "much"), "--max-quality-drop: 'much' is not a drop; write 1% (relative)"),
        (("--trials", "0"), "--trials: input should be greater than 0"),
        (("--methods", "rnt"), "Did you mean 'rtn'?"),
        (("--formats", "pytorsh"), "Did you mean 'pytorch'?"),
        (("--prefer", "beauty"), "prefer"),
        (("--device", "tpu"), "device"),
        (("--name", "../outside"), "'../outside' is no run name"),
        (("--name", "/tmp/outside"), "is no run name"),
        (("--storage", "nonsense"), "storage"),
    ],
)
def test_a_wrong_option_is_told_with_what_is_right(cli: CommandLine, options: tuple[str, str], expected: str) -> None:
    told = cli.refuses("search", "--task-file", TASK_FILE, *options, code=3 if options[0] == "--storage" else 2)
    assert expected in told


def test_percentage_points_of_perplexity_are_refused(cli: CommandLine) -> None:
    folder = cli.folder / "llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    (cli.folder / "book.txt").write_text("\n".join(f"Once upon a time there were {n}." for n in range(50)))
    told = cli.refuses("search", "--model", folder, "--data", "book.txt", "--max-quality-drop", "1pp")
    assert "perplexity" in told
    assert "1%" in told


@pytest.mark.parametrize("command", [("show",), ("best",), ("resume",), ("export", "-o", "x.yaml")])
@pytest.mark.parametrize("name", ["../outside", "nothing"])
def test_a_run_that_does_not_exist_is_told_with_those_that_do(
    finished: CommandLine, command: tuple[str, ...], name: str
) -> None:
    told = finished.refuses(*command, name)
    assert f"there is no run named '{name}'" in told
    assert "done" in told


def test_a_trial_that_does_not_exist_is_told_with_the_numbers_there_are(finished: CommandLine) -> None:
    assert "It has 0 to 4" in finished.refuses("show", "done", 99)


# Recipes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("steps:", "steps: !!python/name:os.system\nx:"), ["tag"]),
        (("steps:", "a: &a [x]\nb: [*a]\nsteps:"), ["anchors and aliases are not allowed"]),
        (("seed: 0", "sede: 0"), ["sede", "Did you mean 'seed'?"]),
        (("format_version: 1", "format_version: 7"), ["format_version", "version 7 is not known"]),
        (("    - path: ", "    - path: ../../"), ["artifact.files[0]", "leads out of the artifact's folder"]),
        (("    - path: ", "    - path: /etc/"), ["artifact.files[0]", "leads out of the artifact's folder"]),
        (("  format: ", "  format: x"), ["export.format", "there is no format named"]),
    ],
)
@pytest.mark.parametrize("command", ["apply", "verify"])
def test_a_wrong_recipe_is_told_with_its_place(
    finished: CommandLine, tmp_path: Path, change: tuple[str, str], expected: list[str], command: str
) -> None:
    text = (finished.runs / "done" / "recipe.yaml").read_text()
    assert change[0] in text
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace(*change))
    output = ("-o", tmp_path / "x") if command == "apply" else ()
    told = finished.refuses(command, recipe, *output, "--task-file", TASK_FILE)
    assert str(recipe) in told
    assert all(part in told for part in expected), told
    assert not (tmp_path / "x").exists()


def test_a_specification_is_no_recipe(cli: CommandLine) -> None:
    (cli.folder / "spec.yaml").write_text(spec(budget={"trials": 3}))
    told = cli.refuses("apply", "spec.yaml", "-o", "x", "--task-file", TASK_FILE)
    assert "is the specification of a search, not a recipe" in told
    assert "`autocompress search spec.yaml`" in told


def test_debug_shows_the_traceback(cli: CommandLine) -> None:
    import subprocess
    import sys

    ended = subprocess.run(
        [sys.executable, "-m", "autocompress", "--debug", "show", "nothing"],
        cwd=cli.folder, env=cli.environment, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" in ended.stderr
    assert ended.returncode != 0
