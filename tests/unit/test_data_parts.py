"""The cut into parts: disjoint by content, seeded, capped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompress.data.parts import read_parts, split_rows
from autocompress.data.rows import Rows, rows_digest
from autocompress.errors import DataError
from autocompress.spec import DataSpec
from autocompress.tasks.base import PARTS, Role

TEXT = Role("text", ("text", "sentence"))
LABEL = Role("label", ("label",))
SHARES = dict(zip(PARTS, (0.1, 0.45, 0.45), strict=True))


@given(st.lists(st.sampled_from("abcdefghijklmnop"), min_size=20, max_size=80), st.integers(0, 5))
def test_equal_rows_always_land_in_the_same_part(texts, seed):
    if len(set(texts)) < 3:
        return
    parts = split_rows(Rows("x", {"text": texts}), SHARES, seed, "text")
    contents = [set(rows.columns["text"]) for rows in parts.values()]
    assert all(contents)
    assert not contents[0] & contents[1]
    assert not contents[1] & contents[2]
    assert not contents[0] & contents[2]
    assert sorted(text for rows in parts.values() for text in rows.columns["text"]) == sorted(texts)


@given(st.permutations([f"text {number}" for number in range(30)]))
def test_a_rows_part_does_not_depend_on_where_it_stands(texts):
    reference = split_rows(Rows("x", {"text": sorted(texts)}), SHARES, 3, "text")
    parts = split_rows(Rows("x", {"text": texts}), SHARES, 3, "text")
    for part in PARTS:
        assert set(parts[part].columns["text"]) == set(reference[part].columns["text"])


def _table(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return str(path)


def test_fractions_and_seed_decide_the_parts(tmp_path):
    path = _table(tmp_path / "a.csv", [(f"t{n}", n % 2) for n in range(200)])
    first = read_parts(DataSpec(path=path), (TEXT, LABEL), 0)
    again = read_parts(DataSpec(path=path), (TEXT, LABEL), 0)
    other = read_parts(DataSpec(path=path), (TEXT, LABEL), 1)
    assert [len(first[part]) for part in PARTS] == [20, 90, 90]
    assert [rows_digest(first[part]) for part in PARTS] == [rows_digest(again[part]) for part in PARTS]
    assert rows_digest(first["search"]) != rows_digest(other["search"])


def test_samples_caps_each_part_and_keeps_the_order_of_the_rows(tmp_path):
    path = _table(tmp_path / "a.csv", [(f"t{n:03}", n % 2) for n in range(200)])
    parts = read_parts(DataSpec(path=path, samples={"search": 7}), (TEXT, LABEL), 0)
    texts = list(parts["search"].columns["text"])
    assert len(texts) == 7
    assert texts == sorted(texts)


def test_rows_of_the_holdout_are_left_out_of_search_and_calibration(tmp_path):
    search = _table(tmp_path / "search.csv", [(f"t{n}", n % 2) for n in range(20)])
    holdout = _table(tmp_path / "holdout.csv", [(f"t{n}", n % 2) for n in range(10, 30)])
    parts = read_parts(DataSpec(search=search, holdout=holdout), (TEXT, LABEL), 0)
    assert len(parts["holdout"]) == 20
    seen = [set(parts[part].columns["text"]) for part in PARTS]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_search_alone_is_cut_into_all_three(tmp_path):
    search = _table(tmp_path / "search.csv", [(f"t{n}", n % 2) for n in range(100)])
    parts = read_parts(DataSpec(search=search), (TEXT, LABEL), 0)
    assert [len(parts[part]) for part in PARTS] == [10, 45, 45]


def test_the_same_file_for_two_parts_is_cut_not_shared(tmp_path):
    path = _table(tmp_path / "a.csv", [(f"t{n}", n % 2) for n in range(40)])
    parts = read_parts(DataSpec(calibration=path, search=path, holdout=path), (TEXT, LABEL), 0)
    assert sum(len(rows) for rows in parts.values()) == 40


def test_too_few_different_rows_are_refused(tmp_path):
    path = _table(tmp_path / "a.csv", [("same", 0)] * 50)
    with pytest.raises(DataError, match="1 different rows cannot be cut"):
        read_parts(DataSpec(path=path), (TEXT, LABEL), 0)


def test_a_part_that_repeats_a_later_part_is_refused(tmp_path):
    search = _table(tmp_path / "search.csv", [("a", 0), ("b", 1), ("c", 1)])
    holdout = _table(tmp_path / "holdout.csv", [("a", 0), ("b", 1), ("c", 1)])
    with pytest.raises(DataError, match="also occur in a later part"):
        read_parts(DataSpec(search=search, holdout=holdout), (TEXT, LABEL), 0)
