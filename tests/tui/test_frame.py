"""One frame as text: on a pipe, without any terminal, at the size that was asked for."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autocompress.errors import UsageError
from autocompress.tui.frame import parse_size, print_frame
from autocompress.tui.opening import Opening


def framed(run: Path | None, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a session of its own, which has no terminal at all."""
    command = [sys.executable, "-m", "autocompress", "tui", *([str(run)] if run else []), "--once", *options]
    return subprocess.run(
        command,
        env=os.environ | {"PYTHONUTF8": "1"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        start_new_session=True,
    )


@pytest.mark.parametrize("text", ["80x24", " 80X24", "80×24", "80*24"])
def test_a_size_is_read_as_people_write_it(text: str) -> None:
    assert parse_size(text) == (80, 24)


@pytest.mark.parametrize("text", ["80", "80x", "wide", "80x24x3", "-80x24", "10x3", "5000x24", "80x999"])
def test_a_wrong_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_size(text)
    assert "--size" in str(refused.value)


@pytest.mark.parametrize("size", ["80x24", "120x40", "200x60"])
def test_a_frame_has_the_size_that_was_asked_for(
    size: str, synthetic_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, rows = parse_size(size)
    print_frame(Opening(str(synthetic_run.parent), "synthetic"), size=size)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == rows
    assert max(map(len, lines)) <= columns
    assert "\x1b" not in "".join(lines)
    assert "synthetic" in "".join(lines)


def test_all_of_a_long_log_is_read_first(synthetic_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(Opening(str(synthetic_run.parent), "synthetic"), size="120x40")
    assert "59/72" in capsys.readouterr().out


def test_without_a_run_the_runs_are_listed(synthetic_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(Opening(str(synthetic_run.parent), theme="light"), size="80x24")
    assert "synthetic" in capsys.readouterr().out


def test_ascii_is_all_ascii(synthetic_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in ("80x24", "120x40"):
        print_frame(Opening(str(synthetic_run.parent), "synthetic", ascii_only=True), size=size)
        told = capsys.readouterr().out
        assert told.isascii(), sorted(set(re.findall(r"[^\x00-\x7f]", told)))


def test_the_command_needs_no_terminal(synthetic_run: Path) -> None:
    ended = framed(synthetic_run, "--size", "80x24", TERM="dumb")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert len(ended.stdout.splitlines()) == 24
    assert "\x1b" not in ended.stdout


def test_where_stdout_can_write_only_ascii_a_frame_is_ascii(synthetic_run: Path) -> None:
    ended = framed(synthetic_run, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.isascii()


def test_a_wrong_size_ends_the_command_with_one_sentence(synthetic_run: Path) -> None:
    ended = framed(synthetic_run, "--size", "big")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert "80x24" in ended.stderr


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_colours_unless_it_is_asked_for_none(no_color: bool, synthetic_run: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if no_color else {})
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "autocompress", "tui", str(synthetic_run), "--once", "--size", "80x24"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        told = b""
        try:
            while more := os.read(ours, 65536):
                told += more
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(ours)
        assert process.wait(timeout=60) == 0
    assert (b"\x1b[" in told) != no_color
    assert b"\x1b[?1049h" not in told  # the screen itself is left alone
