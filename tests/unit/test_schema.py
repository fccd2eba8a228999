from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from jsonschema import Draft202012Validator
from test_recipe_file import documents, example_document

from autocompress import registry
from autocompress.recipe_file import RecipeFile
from autocompress.recipe_yaml import recipe_yaml
from autocompress.schema import recipe_schema, spec_schema

RECIPES = Draft202012Validator(recipe_schema())
SPECS = Draft202012Validator(spec_schema())


def test_both_schemas_are_valid_schemas() -> None:
    Draft202012Validator.check_schema(recipe_schema())
    Draft202012Validator.check_schema(spec_schema())


@given(documents)
def test_every_written_recipe_conforms(document: RecipeFile) -> None:
    RECIPES.validate(yaml.safe_load(recipe_yaml(document)))


def changed(path: list[Any], value: Any) -> Any:
    plain = yaml.safe_load(recipe_yaml(example_document()))
    part = plain
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["exprt"], {}),
        (["format_version"], 2),
        (["steps", 0, "magnitude", "sparsty"], 0.3),
        (["steps", 0, "magnitude", "sparsity"], 1.5),
        (["steps", 0], {"magnitud": {}}),
        (["steps", 0], "magnitud"),
        (["export", "format"], "onxx"),
        (["model", "task"], "sorting"),
        (["measured", "size_byte"], 3),
        (["model", "digest"], "sha256:12"),
    ],
)
def test_a_typo_does_not_conform(path: list[Any], value: Any) -> None:
    assert not RECIPES.is_valid(changed(path, value))


@pytest.mark.parametrize("step", ["magnitude", {"magnitude": None}, {"magnitude": {}}])
def test_a_step_without_knobs_conforms(step: Any) -> None:
    assert RECIPES.is_valid(changed(["steps"], [step]))


def test_every_section_of_a_recipe_and_every_method_is_described() -> None:
    schema = recipe_schema()
    assert all(entry.get("description") for entry in schema["properties"].values())
    described = {
        name for step in schema["properties"]["steps"]["items"]["anyOf"] for name in [step["anyOf"][1]["const"]]
    }
    assert described == set(registry.names("methods"))


def test_a_spec_takes_limits_as_people_write_them() -> None:
    spec: dict[str, Any] = {
        "model": {"path": "m"},
        "data": {"path": "d.csv", "fractions": [0.2, 0.4, 0.4]},
        "constraints": {"quality_drop": "1%", "size": "0.3x", "ram": "2000000B", "latency": None},
        "budget": {"trials": 20, "timeout": "2h", "trial_memory": "2GiB"},
        "space": {"methods": ["rtn"], "formats": None},
    }
    SPECS.validate(spec)
    assert not SPECS.is_valid(spec | {"constraint": {}})
    assert not SPECS.is_valid(spec | {"constraints": {"sise": "1MB"}})
    assert not SPECS.is_valid(spec | {"space": {"methods": ["rtm"]}})
