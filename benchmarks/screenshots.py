"""Pictures of the terminal UI over the recorded real run, for the documents: PNG where rsvg-convert is there, else SVG.

Run: python benchmarks/screenshots.py docs/screenshots
"""

from __future__ import annotations

import argparse
import asyncio
import html
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from rich.cells import cell_len
from textual.pilot import Pilot

from autocompress.tui.app import AutocompressApp
from autocompress.tui.replay import ReplayAttachment

COLOURS = 160
"""Of a PNG: enough for a theme's few colours with smooth edges, and half the bytes."""
CELL_WIDTH = 12.2
"""Of a character in Rich's pictures."""
LONGEST_PIECE = 6
"""Characters that are drawn at once: where a font is narrower than Rich thinks, so many of them are hardly shorter."""
FONTS = "Fira Code, Cascadia Mono, Menlo, Consolas, DejaVu Sans Mono, monospace"
SECONDS_TO_SETTLE = 0.6
SECONDS_TO_LOOK = 240.0
"""For the wizard's first look at the demo's model, and for training that first."""


@dataclass(frozen=True)
class Shot:
    """A picture.

    Attributes:
        name: of the file.
        keys: to press first, after the dashboard is drawn; numbers are seconds to wait.
        at: how much of the run has been played.
    """

    name: str
    size: tuple[int, int]
    keys: tuple[str | float, ...] = ()
    at: float = 0.8
    theme: str = "dark"
    ascii_only: bool = False


SHOTS = (
    Shot("dashboard-120x40", (120, 40)),
    Shot("dashboard-80x24", (80, 24)),
    Shot("dashboard-light-120x40", (120, 40), theme="light"),
    Shot("dashboard-ascii-80x24", (80, 24), ascii_only=True),
    Shot("trial-120x40", (120, 40), ("b", "enter"), at=1.0),
    Shot("trial-80x24", (80, 24), ("b", "enter"), at=1.0),
    Shot("compare-120x40", (120, 40), ("b", "space", "k", "space", "k", "space", "c"), at=1.0),
    Shot("compare-80x24", (80, 24), ("b", "space", "k", "space", "c"), at=1.0),
    Shot("what-if-120x40", (120, 40), ("w", "right", "right"), at=1.0),
    Shot("what-if-80x24", (80, 24), ("w", "right", "right"), at=1.0),
)


WIZARD_SHOTS = (
    Shot("wizard-measure-100x30", (100, 30)),
    Shot("wizard-limits-100x30", (100, 30), ("enter",)),
    Shot("wizard-methods-100x30", (100, 30), ("enter",)),
)


class Stopped:
    """A clock that stands at a share of the recording."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """The moment."""
        return self.seconds


async def taken(shot: Shot, path: Path) -> None:
    """Draw one picture."""
    clock = Stopped()
    attachment = ReplayAttachment(1.0, clock=clock)
    clock.seconds = attachment.seconds * shot.at
    await pictured(
        shot, path, lambda root: AutocompressApp(attachment, root=root, ascii_only=shot.ascii_only, theme=shot.theme)
    )


async def wizard_taken(folder: Path, wanted: Callable[[Shot], bool]) -> list[Path]:
    """Draw the steps of the wizard over the demo's model, which is trained when there is none yet."""
    from autocompress.tui.screens.wizard import WizardScreen

    pictures = []
    with tempfile.TemporaryDirectory() as root:
        app = AutocompressApp(root=Path(root))
        async with app.run_test(size=WIZARD_SHOTS[0].size) as pilot:
            wizard = WizardScreen()
            await app.push_screen(wizard)
            await pilot.pause(SECONDS_TO_SETTLE)
            await pressed(pilot, ("enter", "enter"))
            until = time.monotonic() + SECONDS_TO_LOOK
            while not wizard.probe.is_complete and time.monotonic() < until:
                await pilot.pause(0.2)
            for shot in WIZARD_SHOTS:
                await pressed(pilot, shot.keys)
                if wanted(shot):
                    pictures.append(folder / f"{shot.name}.svg")
                    pictures[-1].write_text(portable(app.export_screenshot(title="autocompress")), encoding="utf-8")
        await asyncio.sleep(SECONDS_TO_SETTLE)  # until the processes that looked are forgotten
    return pictures


async def pictured(shot: Shot, path: Path, opened: Callable[[Path], AutocompressApp]) -> None:
    """Press the keys, and keep what is seen then."""
    with tempfile.TemporaryDirectory() as root:
        app = opened(Path(root))
        async with app.run_test(size=shot.size) as pilot:
            await pilot.pause(SECONDS_TO_SETTLE)
            await pressed(pilot, shot.keys)
            path.write_text(portable(app.export_screenshot(title="autocompress")), encoding="utf-8")


def portable(svg: str) -> str:
    """The picture so that it looks the same everywhere, and no font is fetched.

    Rich leaves the width of a text to ``textLength``, which not every program knows, and to a font from the web.
    """
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)
    svg = svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    return re.sub(
        r'<text class="([^"]*)" x="([\d.]+)" (y="[\d.]+") textLength="[\d.]+" ([^>]*)>([^<]*)</text>', placed, svg
    )


def placed(match: re.Match[str]) -> str:
    """A text in pieces that are short enough to keep their place in any font; blanks are left out."""
    kind, x, y, rest, content = match.groups()
    text, at, pieces = html.unescape(content).replace("\xa0", " "), float(x), []
    for piece in re.findall(rf" +|[^ ]{{1,{LONGEST_PIECE}}}", text):
        width = CELL_WIDTH * cell_len(piece)
        if piece[0] != " ":
            place = f'x="{at:.1f}" {y} textLength="{width:.1f}"'
            pieces.append(f'<text class="{kind}" {place} {rest}>{html.escape(piece)}</text>')
        at += width
    return "".join(pieces)


def converted(picture: Path, converter: str) -> Path:
    """The picture as PNG, in place of the SVG."""
    png = picture.with_suffix(".png")
    subprocess.run([converter, picture, "-o", png], check=True)
    few = Image.open(png).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(png, optimize=True)
    picture.unlink()
    return png


async def pressed(pilot: Pilot[None], keys: tuple[str | float, ...]) -> None:
    """Press keys as a person does, one after the other."""
    for key in keys:
        if isinstance(key, str):
            await pilot.press(key)
            await pilot.pause(0.15)
        else:
            await pilot.pause(key)
    await pilot.pause(SECONDS_TO_SETTLE)


def main() -> int:
    """Draw all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="names of pictures, separated by commas")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    converter = shutil.which("rsvg-convert")

    def wanted(shot: Shot) -> bool:
        return not options.only or shot.name in options.only.split(",")

    pictures = []
    for shot in filter(wanted, SHOTS):
        pictures.append(options.folder / f"{shot.name}.svg")
        asyncio.run(taken(shot, pictures[-1]))
    if any(map(wanted, WIZARD_SHOTS)):
        pictures += asyncio.run(wizard_taken(options.folder, wanted))
    for picture in pictures:
        print(picture if converter is None else converted(picture, converter))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
