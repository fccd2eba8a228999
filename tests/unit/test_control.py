"""Requests in ``control.jsonl``: whatever is written there, and in whatever pieces, whole requests are read once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocompress.control import CONTROL_NAME, Request, Tail, append

FOREIGN = [
    b"",
    b"rubbish",
    b"\xff\xfe",
    b"[1]",
    b'{"action": "pause"}',
    b'{"id": 7, "action": "pause"}',
    b'{"id": "a"}',
]


def test_a_request_is_read_as_it_was_written(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    requests = [
        Request("pause"),
        Request("note", {"number": 7, "text": "zwei\nZeilen ✓ \u2028"}),
        Request("set_constraint", {"name": "size", "value": None}),
    ]
    for request in requests:
        append(tmp_path, request)
    assert list(tail.new()) == requests
    assert list(tail.new()) == []
    assert len({request.id for request in requests}) == 3


def test_a_line_is_plain_json_that_any_program_can_write(tmp_path: Path) -> None:
    append(tmp_path, Request("add_trials", {"trials": 5}, id="a1", time=12.5))
    assert json.loads((tmp_path / CONTROL_NAME).read_text()) == {
        "id": "a1", "time": 12.5, "action": "add_trials", "trials": 5
    }  # fmt: skip


def test_what_was_asked_before_is_not_for_this_search(tmp_path: Path) -> None:
    append(tmp_path, Request("pause"))
    tail = Tail(tmp_path)
    assert list(tail.new()) == []
    later = Request("resume")
    append(tmp_path, later)
    assert list(tail.new()) == [later]


def test_a_file_that_is_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    append(tmp_path, Request("note", {"number": 1, "text": "x" * 500}))
    tail = Tail(tmp_path)
    (tmp_path / CONTROL_NAME).unlink()
    again = Request("stop")
    append(tmp_path, again)
    assert list(tail.new()) == [again]


def test_a_torn_line_does_not_take_the_next_request_with_it(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    (tmp_path / CONTROL_NAME).write_bytes(Request("pause").line()[:20])
    assert list(tail.new()) == []
    request = Request("resume")
    append(tmp_path, request)
    assert list(tail.new()) == [request]


@given(st.lists(st.sampled_from([*FOREIGN, b"pause", b"stop"]), max_size=8), st.lists(st.integers(1, 200), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_whatever_pieces_lines_arrive_each_request_is_read_once(
    tmp_path: Path, lines: list[bytes], pieces: list[int]
) -> None:
    path = tmp_path / CONTROL_NAME
    path.unlink(missing_ok=True)
    tail = Tail(tmp_path)
    requests = [Request(line.decode()) if line in (b"pause", b"stop") else None for line in lines]
    raw = b"".join(request.line() if request else line + b"\n" for request, line in zip(requests, lines, strict=True))
    read = []
    for length in [*pieces, len(raw)]:
        with path.open("ab") as stream:
            stream.write(raw[:length])
        raw = raw[length:]
        read += list(tail.new())
    assert read == [request for request in requests if request]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        append(tmp_path / "gone", Request("pause"))
