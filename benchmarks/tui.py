"""How quick the terminal UI is: the real program on a pty of 120 × 40, over a made-up run to which events are added.

Start to dashboard, key to paint, share of a core while it only watches, and memory.

Run: python benchmarks/tui.py --trials 2000
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import random
import re
import select
import statistics
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from synthetic_run import synthetic_events

from autocompress.tui.theme import DARK

COLUMNS, ROWS = 120, 40
EVENTS_PER_SECOND = 10
MOVES = ("j", "j", "j", "k", "G", "k", "k", "g", "j")
SORTS = ("s", "S", "s", "S", "i", "i")
FILTERS = ("int8", "kmeans ok")
SECONDS_TO_WAIT = 20.0
SECONDS_OF_IDLENESS = 15.0
LARGEST_PICTURE_BYTES = 50_000
ESCAPES = re.compile(rb"\x1b\[[0-9;?<>=$]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b.")
TARGETS = {
    2_000: {"start": 0.8, "median": 40.0, "p95": 120.0, "cpu": 5.0, "memory": 60.0},
    20_000: {"start": 3.0, "median": 40.0, "p95": 120.0},
}


class Feed(threading.Thread):
    """Appends a search's events to the log, ten a second, as they would come now."""

    def __init__(self, log: Path, events: Iterator[dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self.log, self.events = log, events
        self.stopped = threading.Event()

    def run(self) -> None:
        """Append until the end is asked for."""
        with self.log.open("a", encoding="utf-8") as stream:
            for event in self.events:
                if self.stopped.wait(1 / EVENTS_PER_SECOND):
                    return
                stream.write(line_of(event | {"time": round(time.time(), 3)}))
                stream.flush()


class Terminal:
    """The program on a pty, and what it wrote."""

    def __init__(self, folder: Path) -> None:
        self.began = time.perf_counter()
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            for name in ("NO_COLOR", "COLUMNS", "LINES", "SSH_CONNECTION"):
                os.environ.pop(name, None)
            os.execv(sys.executable, [sys.executable, "-m", "autocompress", "tui", str(folder)])
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def read(self, seconds: float) -> bytes:
        """What was written until now; waits so long for the first byte."""
        readable, _, _ = select.select([self.handle], [], [], seconds)
        try:
            return os.read(self.handle, 2**20) if readable else b""
        except OSError:  # the program is gone
            return b""

    def until(self, wanted: re.Pattern[bytes], *, plain: bool = False) -> float:
        """Wait until something was written; gives the moment.

        Raises:
            TimeoutError: it was not.
        """
        told = b""
        deadline = time.perf_counter() + SECONDS_TO_WAIT
        while time.perf_counter() < deadline:
            told = told[-LARGEST_PICTURE_BYTES:] + self.read(0.5)
            if wanted.search(ESCAPES.sub(b"", told) if plain else told):
                return time.perf_counter()
        raise TimeoutError(f"{wanted.pattern!r} was not drawn; last: {ESCAPES.sub(b'', told)[-500:].decode()}")

    def drain(self, seconds: float) -> None:
        """Take what is written in so many seconds."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self.read(left)

    def press(self, key: str) -> float:
        """Send a key; gives the moment."""
        self.read(0)
        moment = time.perf_counter()
        os.write(self.handle, key.encode())
        return moment

    def close(self) -> None:
        """Detach, and wait for the end."""
        self.press("q")
        deadline = time.perf_counter() + 5
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.perf_counter() > deadline:
                os.kill(self.pid, 9)
                os.waitpid(self.pid, 0)
                break
            self.read(0.05)
        os.close(self.handle)


def line_of(event: dict[str, Any]) -> str:
    """The event as it is logged."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"


def cursor_of() -> re.Pattern[bytes]:
    """The background of the row that the cursor is on, which is drawn anew whenever it moves."""
    red, green, blue = bytes.fromhex(DARK.variables["block-cursor-background"].removeprefix("#"))
    return re.compile(f"48;2;{red};{green};{blue}".encode())


def started(folder: Path, n_trials: int) -> tuple[Terminal, float, float]:
    """The program, the seconds until it showed all trials' number and rows of the table, and its CPU time until then.

    On a busy machine the first is mostly waiting for a turn, the second is what the program is to blame for.
    """
    terminal = Terminal(folder)
    count = f"{n_trials - 1:,}".replace(",", ",?").encode()
    moment = terminal.until(re.compile(rb"(?s)(?=.*\b" + count + rb"\b)(?=.*(onnx|openvino|pytorch))"), plain=True)
    return terminal, moment - terminal.began, sum(psutil.Process(terminal.pid).cpu_times()[:2])


HEADING = re.compile("▴|▾".encode())
"""The arrow at the column that is sorted by, which is drawn anew with all rows."""


def key_times(
    terminal: Terminal, keys: tuple[str, ...], drawn: re.Pattern[bytes], repeats: int, dice: random.Random
) -> list[float]:
    """Milliseconds from each key to the first bytes that draw what it changes."""
    times = []
    for key in keys * repeats:
        terminal.drain(dice.uniform(0.08, 0.2))  # out of step with the program's own timers
        pressed = terminal.press(key)
        times.append((terminal.until(drawn) - pressed) * 1000)
    return times


def filter_times(terminal: Terminal, dice: random.Random) -> list[float]:
    """Milliseconds from a letter of a filter to the first bytes that draw anything, and from its end to the rows."""
    times = []
    for words in FILTERS:
        terminal.press("/")
        for letter in words:
            terminal.drain(dice.uniform(0.08, 0.2))
            pressed = terminal.press(letter)
            times.append((terminal.until(re.compile(b".")) - pressed) * 1000)
        terminal.press("\r")
        terminal.drain(0.3)
    terminal.press("\x1b")
    terminal.drain(0.5)
    return times


def measured(folder: Path, log: Path, later: Iterator[dict[str, Any]], n_trials: int, options: Any) -> dict[str, Any]:
    """All the figures of one run of the program, and the starts of some more."""
    starts, cpu_starts = [], []
    terminal: Terminal | None = None
    for _ in range(options.starts):
        if terminal is not None:
            terminal.drain(0.3)
            terminal.close()
        terminal, seconds, cpu_seconds = started(folder, n_trials)
        starts.append(seconds)
        cpu_starts.append(cpu_seconds)
    assert terminal is not None
    feed, dice = Feed(log, later), random.Random(0)
    feed.start()
    terminal.drain(1.0)
    process = psutil.Process(terminal.pid)
    moves = key_times(terminal, MOVES, cursor_of(), options.repeats, dice)
    sorts = key_times(terminal, SORTS, HEADING, max(1, options.repeats // 3), dice)
    filters = filter_times(terminal, dice)
    terminal.drain(2.0)
    before, since = sum(process.cpu_times()[:2]), time.perf_counter()
    terminal.drain(SECONDS_OF_IDLENESS)
    cpu = (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - since)
    memory = memory_of(terminal.pid)
    feed.stopped.set()
    terminal.close()
    return {
        "starts": starts,
        "cpu_starts": cpu_starts,
        "moves": moves,
        "sorts": sorts,
        "filters": filters,
        "cpu": cpu,
        **memory,
    }


def memory_of(pid: int) -> dict[str, float]:
    """Resident memory in MB, now and at its peak."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(status[key].split()[0]) * 1024 / 1e6 for name, key in (("rss", "VmRSS"), ("peak", "VmHWM"))}


def p95(values: list[float]) -> float:
    """The value that one in twenty exceeds."""
    return statistics.quantiles(values, n=20)[-1]


def told(n_trials: int, figures: dict[str, Any]) -> Iterator[str]:
    """The figures as lines of a table, with what they are to be."""
    targets = TARGETS.get(n_trials, {})

    def row(what: str, value: str, name: str, unit: str) -> str:
        return f"{what:44} {value:>16}  {f'at most {targets[name]:g} {unit}' if name in targets else ''}".rstrip()

    yield row("start to dashboard, median", f"{statistics.median(figures['starts']):.2f} s", "start", "s")
    yield row("  slowest", f"{max(figures['starts']):.2f} s", "", "")
    yield row("  of CPU time, median", f"{statistics.median(figures['cpu_starts']):.2f} s", "", "")
    keys = figures["moves"] + figures["sorts"] + figures["filters"]
    yield row(f"key to paint, median of {len(keys)}", f"{statistics.median(keys):.0f} ms", "median", "ms")
    yield row("key to paint, p95", f"{p95(keys):.0f} ms", "p95", "ms")
    for name in ("moves", "sorts", "filters"):
        times = figures[name]
        yield row(f"  {name}: median, p95", f"{statistics.median(times):.0f}, {p95(times):.0f} ms", "", "")
    yield row("share of a core, only watching", f"{figures['cpu']:.1%}", "cpu", "%")
    yield row("memory", f"{figures['rss']:.0f} MB", "memory", "MB")
    yield row("memory at its peak", f"{figures['peak']:.0f} MB", "memory", "MB")


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "synthetic"
        folder.mkdir()
        (folder / "spec.yaml").write_text("name: synthetic\n", encoding="utf-8")
        log, later = folder / "events.jsonl", synthetic_events(options.trials + 400)
        with log.open("w", encoding="utf-8") as stream:
            for event in later:
                stream.write(line_of(event))
                if event["kind"] == "trial_finished" and event["record"]["number"] == options.trials - 2:
                    break
        megabytes = log.stat().st_size / 1e6
        figures = measured(folder, log, later, options.trials, options)
    print(f"{options.trials:,} trials ({megabytes:.0f} MB of events), {EVENTS_PER_SECOND} events/s, {COLUMNS}×{ROWS}")
    print("\n".join(told(options.trials, figures)))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
