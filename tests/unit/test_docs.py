"""What the documents say can be done: commands, files, links and examples are tried."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import typer
import yaml
from tiny_models import bert, step_context
from torch_runner import TorchRunner

from autocompress import registry
from autocompress.cli import apply, catalogue, estimate, probe, runs, search, steer, tui  # noqa: F401 - each adds commands
from autocompress.cli.app import app
from autocompress.compressible import CompressibleModel
from autocompress.measure.latency import CLOSER_LOOK, SHORT_LOOK
from autocompress.recipe_file import read_recipe
from autocompress.spec import ModelSpec
from autocompress.tasks.own import Own

ROOT = Path(__file__).parent.parent.parent
PROTOCOLS = (SHORT_LOOK, CLOSER_LOOK)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
READABLE = [*PAGES, *sorted(ROOT.glob("docs/examples/*.py")), *sorted(ROOT.glob("recipes/*.yaml"))]
GROUP: Any = typer.main.get_command(app)
UsageError = typer.BadParameter.__mro__[1]

CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"[\w.*-]+(?:/[\w.*-]+)+\.(?:py|md|yaml|toml|txt)")


def told(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def identity(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def command_lines(text: str) -> Iterator[str]:
    """Whole lines that are commands, and code spans that begin as one."""
    for line in text.splitlines():
        line = line.strip().removeprefix("# ").removeprefix("$ ")
        if re.match(r"(autocompress|python|make|pytest) \S", line):
            yield line
    for span in CODE_SPAN.findall(text):
        if re.match(r"(autocompress|python|make|pytest) \S", span):
            yield span


def block(page: str, language: str, start: str) -> str:
    found = [code for kind, code in FENCED.findall(told(ROOT / page)) if kind == language and code.startswith(start)]
    assert len(found) == 1, f"{page} has {len(found)} blocks of {language} that begin with {start!r}"
    return found[0]


def imported(path: Path) -> ModuleType:
    found = spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    sys.modules[found.name] = module  # where pydantic looks up what annotations name
    found.loader.exec_module(module)
    return module


def parse(arguments: list[str]) -> None:
    """What the command line does with these arguments before it runs the command."""
    try:
        with GROUP.make_context("autocompress", list(arguments)) as context:
            name, command, rest = GROUP.resolve_command(context, [*context._protected_args, *context.args])
            if rest:  # else it is the command's name alone that is spoken of
                command.make_context(name, rest, parent=context)
    except typer.Exit:  # --help and --version end here
        return


@pytest.mark.parametrize("page", READABLE, ids=identity)
def test_every_command_that_is_shown_is_understood(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", told(ROOT / "Makefile"), re.MULTILINE)
    for line in command_lines(told(page)):
        program, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
        if program == "autocompress":
            parse(arguments)
        elif program == "make":
            assert arguments[0] in targets, line
        elif program in ("python", "pytest"):
            scripts = [argument for argument in arguments if argument.endswith(".py")]
            assert all((ROOT / script).is_file() for script in scripts), line


def test_a_wrong_command_would_be_noticed() -> None:
    for wrong in (["serch"], ["search", "--max-sise", "3MB"], ["export", "my-bert", "--trial", "seven"]):
        with pytest.raises(UsageError):
            parse(wrong)


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(told(page)):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_every_file_that_is_named_exists(page: Path) -> None:
    """Files of runs and of the reader's own aside, which lie in folders that the project has none of."""
    tops = {path.name for folder in (ROOT, ROOT / "autocompress") for path in folder.iterdir() if path.is_dir()}
    for span in CODE_SPAN.findall(told(page)):
        if FILE.fullmatch(span) and span.partition("/")[0] in tops - {"runs"}:
            assert any(any(folder.glob(span)) for folder in (ROOT, ROOT / "autocompress")), span


def test_the_architecture_names_every_module() -> None:
    layout = told(ROOT / "docs/architecture.md")
    modules = {path.name.removesuffix(".py") for path in (ROOT / "autocompress").iterdir() if path.suffix == ".py"}
    folders = {path.parent.name for path in (ROOT / "autocompress").glob("*/__init__.py")}
    missing = {name for name in modules - {"__init__"} if f"{name}.py" not in layout}
    assert not missing | {name for name in folders if f"{name}/" not in layout}


def test_the_readme_names_every_plug_in() -> None:
    readme = told(ROOT / "README.md")
    for family in ("methods", "formats", "tasks"):
        for name in registry.names(family):
            assert name in readme or (name == "own" and "your own" in readme), name


def test_the_recipe_in_the_readme_is_one(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(block("README.md", "yaml", "format_version"), encoding="utf-8")
    assert [step.tag for step in read_recipe(path).steps] == ["rtn", "int8_dynamic"]


def test_the_timing_protocols_are_told_as_they_are() -> None:
    table = told(ROOT / "docs/measuring.md")
    rows = {
        "calls of each model, at least": [f"{p.min_calls}" for p in PROTOCOLS],
        "seconds, at least / at most": [f"{p.min_seconds:g} / {p.max_seconds:g}" for p in PROTOCOLS],
        "interval's half-width to stop at": [f"{p.half_width * 100:g} %" for p in PROTOCOLS],
        "the original timed against itself": ["yes" if p.control else "no" for p in PROTOCOLS],
    }
    for name, cells in rows.items():
        assert f"| {name} | {' | '.join(cells)} |" in table


def test_the_yaml_in_documents_is_yaml() -> None:
    for page in PAGES:
        for language, code in FENCED.findall(told(page)):
            if language == "yaml":
                assert yaml.safe_load(code), page


def test_the_method_in_the_architecture_is_the_example_and_works(tmp_path: Path) -> None:
    example = ROOT / "docs/examples/ternary.py"
    assert block("docs/architecture.md", "python", '"""Ternary weights') == told(example)
    method = imported(example)
    model = CompressibleModel(bert())
    method.Ternary(threshold=0.7).apply(model, step_context(model.module, tmp_path))
    assert model.encodings
    for weight in model.weights("linear"):
        assert torch.equal(weight.matrix, torch.from_numpy(model.encodings[weight.name].decode()))


def test_the_tests_in_the_architecture_pass() -> None:
    names: dict[str, Any] = {
        "ternary": imported(ROOT / "docs/examples/ternary.py").ternary,
        "torch": torch,
        "np": np,
    }
    exec(block("docs/architecture.md", "python", "class TestTernary"), names)
    shown = names["TestTernary"]()
    tests = [name for name in dir(shown) if name.startswith("test_")]
    assert tests
    for name in tests:
        getattr(shown, name)()


def test_the_task_file_that_is_shown_works(tmp_path: Path) -> None:
    path = tmp_path / "digits.py"
    path.write_text(block("docs/writing-a-task.md", "python", '"""Digits'), encoding="utf-8")
    network = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    torch.save(network.state_dict(), tmp_path / "digits.pt")
    spec, task = ModelSpec(path=str(tmp_path), task="own", task_file=str(path)), Own()
    runner = TorchRunner(task.load_model(spec))
    sample = task.samples_by_part(spec, {}, 0)["search"][0]
    score = task.score(spec, task.run(spec, runner, sample.inputs), sample.target)
    assert set(score) == {"accuracy"}
