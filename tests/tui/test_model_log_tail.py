"""Following a log: whole lines, where they lie, and a file that was replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocompress.tui.model import log_tail
from autocompress.tui.model.log_tail import LogReplaced, LogTail


def test_a_log_that_is_not_there_yet_has_no_lines(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "events.jsonl")
    assert tail.poll() == []
    (tmp_path / "events.jsonl").write_bytes(b"one\n")
    assert [line for line, _ in tail.poll()] == [b"one\n"]
    assert tail.poll() == []


def test_a_torn_last_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    tail = LogTail(path)
    assert [line for line, _ in tail.poll()] == [b"one\n"]
    assert tail.poll() == []
    with path.open("ab") as stream:
        stream.write(b"o\n")
    assert [line for line, _ in tail.poll()] == [b"two\n"]


@pytest.mark.parametrize("how", ["cut", "replaced"])
def test_a_log_that_is_begun_anew_is_told_and_then_read_from_its_start(tmp_path: Path, how: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    tail = LogTail(path)
    tail.poll()
    if how == "cut":
        path.write_bytes(b"new\n")
    else:
        other = tmp_path / "other"
        other.write_bytes(b"new\nand longer than before\n")
        other.replace(path)
    with pytest.raises(LogReplaced):
        tail.poll()
    assert tail.poll()[0][0] == b"new\n"


lines = st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=30), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(texts=lines, cut=st.integers(0, 400), batch=st.integers(1, 40))
def test_every_line_is_given_once_with_its_place_however_it_was_written_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], cut: int, batch: int
) -> None:
    monkeypatch.setattr(log_tail, "LARGEST_BATCH_BYTES", batch)
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    whole = "".join(f"{text}\n" for text in texts).encode()
    tail, found = LogTail(path), []
    path.write_bytes(whole[:cut])
    while new := tail.poll():
        found += new
    with path.open("ab") as stream:
        stream.write(whole[cut:])
    while new := tail.poll():
        found += new
    assert b"".join(line for line, _ in found) == whole
    assert [tail.read(place) for _, place in found if place is not None] == [line for line, _ in found]
