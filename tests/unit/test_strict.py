from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autocompress.errors import RecipeError, UsageError
from autocompress.spec import SearchSpec
from autocompress.strict import LARGEST_YAML_BYTES, place, read_yaml, validate

HOSTILE = {
    "a python object": ("a: !!python/object/apply:os.system ['echo hi']", "the tag"),
    "a tag of plain YAML": ("a: !!set {b}", "the tag"),
    "a local tag": ("a: !include /etc/passwd", "the tag"),
    "an anchor": ("a: &x [1, 2]", "anchors and aliases"),
    "a bomb of aliases": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "anchors and aliases"),
    "a key twice": ("a: 1\nb: 2\na: 3", "'a' stands twice"),
    "a key twice, deep inside": ("a:\n  - b: 1\n    b: 2", "'b' stands twice"),
    "a list as a key": ("? [a]\n: 1", "a key must be text"),
    "a number as a key": ("1: 2", "a key must be text"),
    "brackets without end": ("[" * 50_000, "nested too deeply"),
    "mappings without end": ("{a: " * 50_000, "nested too deeply"),
    "an endless number": ("a: " + "9" * 5_000, "too many digits"),
    "two documents": ("--- {}\n--- {}", "another document"),
    "a control character": ("a: \x00", "not valid YAML"),
    "an open quote": ("a: 'b", "not valid YAML"),
    "a list": ("[1, 2]", "must hold a mapping"),
    "nothing": ("", "must hold a mapping"),
    "a word": ("hello", "must hold a mapping"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_yaml_that_is_more_than_plain_data_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    text, reason = HOSTILE[name]
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=reason) as caught:
        read_yaml(path, error=RecipeError)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 12)]
    path.write_text("\n".join(["l0: &l0 [x]", *levels]))
    with pytest.raises(UsageError, match=r"bomb\.yaml:1:"):
        read_yaml(path)


def test_a_file_larger_than_people_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (2 * LARGEST_YAML_BYTES))
    with pytest.raises(UsageError, match="larger than"):
        read_yaml(path)


def test_an_endless_device_is_read_no_further_than_the_limit() -> None:
    with pytest.raises(UsageError, match="larger than"):
        read_yaml(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "no such file"), (b"\xff\xfe\xfa", "not UTF-8"), ("folder", "is a directory")]
)
def test_what_cannot_be_read_is_said_with_its_path(content: Any, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    if content == "folder":
        path.mkdir()
    elif content:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        read_yaml(path)


def test_words_mean_what_yaml_1_2_says(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: yes\nb: 2026-11-20\nc: 1:30\nd: 010\ne: 1e-3\nf: true\ng: ~\nh: .inf\ni: -12\non: x\n")
    expected = {"a": "yes", "b": "2026-11-20", "c": "1:30", "d": "010", "e": 0.001, "f": True, "g": None}
    assert read_yaml(path) == expected | {"h": float("inf"), "i": -12, "on": "x"}


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(st.characters(categories=["L"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abcxyz", min_size=1), plain_values, max_size=4))
def test_plain_data_is_read_as_pyyaml_wrote_it(tmp_path_factory: pytest.TempPathFactory, plain: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.yaml"
    path.write_text(yaml.dump(plain, Dumper=_NoAliases, allow_unicode=True))
    assert read_yaml(path) == plain


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


MODEL = {"model": {"path": "m"}}
WRONG_SPECS: dict[str, tuple[Any, str]] = {
    "a missing part": ({}, "model: is required, but missing"),
    "a missing key": ({"model": {}}, "model.path: is required, but missing"),
    "a near miss": ({"modle": {}} | MODEL, "modle: unknown key. Did you mean 'model'?"),
    "a near miss inside": (MODEL | {"data": {"pth": "d"}}, "data.pth: unknown key. Did you mean 'path'?"),
    "a key like no other": (MODEL | {"budget": {"zzz": 1}}, "budget.zzz: unknown key. Known: cache"),
    "a number for text": ({"model": {"path": 7}}, "model.path: must be text (got 7). Put it in quotes."),
    "a word for a mapping": ({"model": "m"}, "model: must be a mapping of keys to values"),
    "a list at the top": ([1], "must be a mapping of keys to values"),
    "a list for an option": (
        {"model": {"path": "m", "options": {"length": [1]}}},
        "model.options.length: input should be",
    ),
    "a limit without sense": (MODEL | {"constraints": {"size": "3 elephants"}}, "constraints.size: '3 elephants' is"),
    "a value out of bounds": (MODEL | {"seed": -1}, "seed: input should be greater than or equal to 0 (got -1)"),
    "a word out of a choice": (MODEL | {"prefer": "tiny"}, "prefer: input should be 'size', 'latency'"),
    "shares over one": (MODEL | {"data": {"path": "d", "fractions": [1, 1, 1]}}, "data: the fractions must be"),
}


@pytest.mark.parametrize("name", WRONG_SPECS)
def test_a_wrong_value_is_named_by_its_place(name: str) -> None:
    plain, sentence = WRONG_SPECS[name]
    with pytest.raises(UsageError) as caught:
        validate(SearchSpec, plain)
    assert str(caught.value).startswith(sentence)


def test_the_place_starts_where_the_caller_says() -> None:
    with pytest.raises(UsageError, match=r"^spec\.model\.path: "):
        validate(SearchSpec, {"model": {"path": None}}, where="spec")


def test_places_read_like_code() -> None:
    assert place("steps", 2, "rtn", "group_size") == "steps[2].rtn.group_size"
