"""The keys of a screen in groups, what the glyphs mean, and how to filter."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from autocompress.report.numbers import GIVEN_UP
from autocompress.tui.screens.run_screen import RunScreen
from autocompress.tui.theme import UNICODE, Glyphs

KEY_WORDS = {
    "question_mark": "?",
    "escape": "esc",
    "space": "space",
    "plus": "+",
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "full_stop": ".",
    "comma": ",",
    "minus": "-",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "underscore": "_",
    "equals_sign": "=",
}
ARROWS = {"up": "↑", "down": "↓", "left": "←", "right": "→"}
KEY_WIDTH = 14
WIDE = 110
"""Two columns fit from here on."""
WIDEST_COLUMN = 58
MANY_KEYS = 14
GROUPS = {
    "Move": ("move", "end", "page", "walk", "best", "follow"),
    "Panes": ("pane", "zoom", "axes"),
    "Choose trials": ("filter", "clear", "sort", "reverse", "hide", "mark", "compare"),
    "The trial under the cursor": ("open", "export", "copy", "log", "note", "try"),
    "The search": ("what_if", "add_trials", "pause", "cancel", "runs", "detach", "stop"),
}
"""The keys of a screen that has many, by what they do."""
FILTER_WORDS = (
    ("int8 onnx", "recipes that hold both words; words of notes and endings (timed out) are found, too"),
    ("-kmeans", "those without it; a minus turns any term around"),
    ("q>=75", "a figure against a value: q, drop, size, ms, p95, speed, ram, vram, seconds, n"),
    ("size<0.3x", "with a unit: size<10MB, ram<1GB, drop<=1pp"),
    ("ok front", "inside every limit; on the front"),
    ("marked noted", "marked with space; with a note; contended: timed on a busy machine"),
    ("#12", "this trial"),
)


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below.

    Args:
        below: that screen.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "close", "Back", key_display="esc"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]
    SCOPED_CSS = False
    CSS = """
    HelpScreen { align: center middle; }
    HelpScreen #window {
        width: 66; max-width: 100%; height: auto; max-height: 100%; background: $surface;
        border: round $primary; border-title-color: $primary; border-subtitle-color: $quiet; padding: 0 1;
    }
    .-ascii HelpScreen #window { border: ascii $primary; }
    HelpScreen #scroll { height: auto; max-height: 100%; }
    HelpScreen.-wide #window { width: 124; }
    HelpScreen #columns { height: auto; }
    HelpScreen.-wide #columns { layout: horizontal; }
    HelpScreen .column { height: auto; margin-bottom: 1; }
    HelpScreen.-wide .column { width: 1fr; padding-right: 1; margin-bottom: 0; }
    """

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self.below = below

    def compose(self) -> ComposeResult:
        """A window that scrolls."""
        with Vertical(id="window") as window:
            window.border_title = "Keys"
            window.border_subtitle = "j k scroll   esc back"
            with VerticalScroll(id="scroll"), Vertical(id="columns"):
                yield Static(id="left", classes="column")
                yield Static(id="right", classes="column")

    def on_mount(self) -> None:
        """Take the keys as they are now."""
        self.query_one("#scroll").focus()
        glyphs: Glyphs = getattr(self.app, "glyphs", UNICODE)
        keys = key_groups(self.below, glyphs)
        words: list[tuple[str, list[tuple[str, str]]]] = [("Signs", legend(glyphs))]
        if isinstance(self.below, RunScreen):
            words.append(("Filter: what is written after / narrows the trials", list(FILTER_WORDS)))
        # A screen with few keys has room for more beside them.
        at = next((index for index, (name, _) in enumerate(keys) if name == "The search"), len(keys))
        self._columns = (keys[:at], [*keys[at:], *words])

    def on_resize(self) -> None:
        """Two columns, or one below the other."""
        self.set_class(self.size.width >= WIDE, "-wide")
        self.call_after_refresh(self._write)

    def _write(self) -> None:
        is_wide = self.size.width >= WIDE
        room = (self.size.width - 10) // 2 if is_wide else self.size.width - 8
        for name, groups in zip(("#left", "#right"), self._columns, strict=True):
            parts = [_group(title, keys, min(WIDEST_COLUMN, room)) for title, keys in groups]
            self.query_one(name, Static).update(Content("\n\n").join(parts))

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one("#scroll").scroll_relative(y=by, animate=False)


def _group(name: str, rows: Iterable[tuple[str, str]], columns: int) -> Content:
    """A heading and rows; long words go on below themselves."""
    lines = [Content.styled(name, "bold $primary")]
    for key, words in rows:
        first, *rest = textwrap.wrap(words, max(20, columns - KEY_WIDTH - 2)) or [""]
        lines.append(Content.assemble((f"  {key:<{KEY_WIDTH}}", "$accent"), first))
        lines += [Content(" " * (KEY_WIDTH + 2) + each) for each in rest]
    return Content("\n").join(lines)


def key_groups(screen: Screen[Any], glyphs: Glyphs) -> list[tuple[str, list[tuple[str, str]]]]:
    """The keys that a screen answers to: its own, those of its panes, and those that work everywhere."""
    groups = _by_purpose(screen, glyphs)
    seen: set[type[DOMNode]] = set()
    for widget in screen.query("*"):
        kind = type(widget)
        if kind in seen or not kind.__module__.startswith("autocompress."):
            continue
        seen.add(kind)
        title = widget.border_title
        plain = Content.from_markup(title).plain.strip() if isinstance(title, str) else str(title or "")
        groups.append((plain or kind.__name__, _keys(widget, glyphs)))
    everywhere = _keys(screen.app, glyphs)
    everywhere.append(("^p", "Command palette: every key by its name, and the theme"))
    groups.append(("Everywhere", everywhere))
    return [(name, keys) for name, keys in groups if keys]


def _by_purpose(screen: Screen[Any], glyphs: Glyphs) -> list[tuple[str, list[tuple[str, str]]]]:
    """The screen's keys in one group, or, where they are many, in several."""
    keys = {action: row for action, row in _keys_by_action(screen, glyphs).items() if action != "app.help"}
    if len(keys) <= MANY_KEYS:
        return [("This screen", list(keys.values()))]
    named = {action: action.partition("(")[0] for action in keys}
    groups = [(name, [keys[a] for a in keys if named[a] in actions]) for name, actions in GROUPS.items()]
    rest = [keys[a] for a in keys if not any(named[a] in actions for actions in GROUPS.values())]
    return [*groups, ("More", rest)]


def _keys(node: DOMNode, glyphs: Glyphs) -> list[tuple[str, str]]:
    return list(_keys_by_action(node, glyphs).values())


def _keys_by_action(node: DOMNode, glyphs: Glyphs) -> dict[str, tuple[str, str]]:
    """Rows of keys and what they do, keys of one action together; only what our own classes bind."""
    by_action: dict[str, tuple[list[str], str]] = {}
    for kind in type(node).__mro__:
        if not kind.__module__.startswith("autocompress."):
            continue
        for binding in Binding.make_bindings(kind.__dict__.get("BINDINGS", ())):
            words = binding.tooltip or binding.description
            if not words and binding.action not in by_action:
                continue
            keys, told = by_action.setdefault(binding.action, ([], words))
            name = key_name(binding, glyphs)
            if name not in keys:
                keys.append(name)
            by_action[binding.action] = keys, told or words
    return {action: (" ".join(keys), _worded(words)) for action, (keys, words) in by_action.items()}


def _worded(words: str) -> str:
    return words[:1].upper() + words[1:]


def key_name(binding: Binding, glyphs: Glyphs) -> str:
    """A key as people call it: ``?``, ``esc``, ``^s``, ``↑``."""
    *modifiers, key = binding.key.split("+")
    arrows = {} if glyphs.is_ascii else ARROWS
    name = arrows.get(key) or KEY_WORDS.get(key, key)
    if "ctrl" in modifiers:
        return f"^{name}"
    return f"shift-{name}" if "shift" in modifiers else name


def legend(glyphs: Glyphs) -> list[tuple[str, str]]:
    """The glyphs and what they say."""
    return [
        (glyphs.front, "on the front: no recipe inside the limits is better in all"),
        (glyphs.feasible, "inside every limit"),
        (glyphs.violates, "over a limit; the figure that is over is underlined"),
        (glyphs.unsupported, "cannot be done with this model, or here"),
        (glyphs.failed, "failed"),
        (glyphs.running, "running now"),
        (glyphs.cancelled, "cancelled"),
        (glyphs.original, "the original model, uncompressed"),
        (glyphs.best, "the best so far by the search's preference"),
        (glyphs.cached, "taken from the stage cache, not computed again"),
        (f"{glyphs.contended}4.6{glyphs.times}", "the machine was busy while this was timed: it may be off"),
        (f"{glyphs.minus}1.2{GIVEN_UP}", "judged on some of the samples, then given up: it could not have been of use"),
        (f"{glyphs.plain('≈')}1.2", "not to be told apart from the best trial's, where both keep the limits"),
        ("[a, b]", "the interval that covers the figure; where two overlap, it is a tie"),
        (glyphs.not_measured, "not measured"),
    ]
