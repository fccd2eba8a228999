"""What is foretold of known-good recipes, in as many rows as fit; or what there is to say instead."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from autocompress.tui.model.expected import Expected, ExpectedRecipe
from autocompress.tui.theme import Glyphs

GLYPH_WIDTH, SIZE_WIDTH, RATIO_WIDTH, MEMORY_WIDTH, LATENCY_WIDTH = 2, 10, 8, 13, 14
FIGURES_WIDTH = SIZE_WIDTH + RATIO_WIDTH + MEMORY_WIDTH + LATENCY_WIDTH
WIDEST_LABEL = 48
FEWEST_ROWS, USUAL_ROWS = 3, 10
LIMITS_ON_MEMORY = {"ram", "vram"}


class ExpectedTable(Static):
    """Recipes that may keep the limits come first; the figures that break one are underlined."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, markup=False)
        self.styles.min_height = 1 + FEWEST_ROWS
        self._expected: Expected | None = None
        self._glyphs = Glyphs()

    def tell(self, text: str, glyphs: Glyphs) -> None:
        """Show a sentence instead of the table."""
        self._expected = None
        self.styles.max_height = 1 + USUAL_ROWS
        self.update(Content.styled(glyphs.plain(text), "$quiet"))

    def show_expected(self, expected: Expected, glyphs: Glyphs) -> None:
        """Show what is foretold."""
        self._expected, self._glyphs = expected, glyphs
        self.styles.max_height = 1 + max(FEWEST_ROWS, len(expected.recipes))
        self._draw()

    def on_resize(self) -> None:
        """Another room, other rows."""
        self._draw()

    def _draw(self) -> None:
        expected = self._expected
        if expected is None:
            return
        width = min(WIDEST_LABEL, max(0, self.content_size.width - GLYPH_WIDTH - FIGURES_WIDTH))
        rows = [self._row(one, width) for one in expected.first(max(FEWEST_ROWS, self.content_size.height - 1))]
        self.update(Content("\n").join([self._heading(expected, width), *rows]))

    def _heading(self, expected: Expected, width: int) -> Content:
        count = len(expected.recipes)
        told = f"{count} known-good recipes"
        if expected.n_inside < count:
            told = f"{expected.n_inside or 'None'} of {count} known-good may fit"
        titles = [("size", SIZE_WIDTH), ("", RATIO_WIDTH), (f"≈{expected.memory_name}", MEMORY_WIDTH)]
        titles.append(("≈a call", LATENCY_WIDTH))
        named = f"{told:<{GLYPH_WIDTH + width}}" + "".join(f"{title:>{cells}}" for title, cells in titles)
        return Content.styled(self._glyphs.plain(named), "$quiet")

    def _row(self, one: ExpectedRecipe, width: int) -> Content:
        glyphs, style = self._glyphs, "$quiet" if one.breaks else ""
        label = glyphs.shortened(glyphs.plain(one.label), width)
        glyph = (f"{glyphs.feasible} ", "$success")
        if one.breaks or one.may_break:
            glyph = (f"{glyphs.violates} ", "$error") if one.breaks else ("? ", "$warning")
        pieces = [glyph, (f"{label:<{width}}", style)]
        figures = (
            (one.size, SIZE_WIDTH, "size" in one.breaks),
            (one.ratio, RATIO_WIDTH, False),
            (one.memory, MEMORY_WIDTH, bool(one.breaks & LIMITS_ON_MEMORY)),
            (one.latency, LATENCY_WIDTH, "latency" in one.breaks),
        )
        for text, cells, is_broken in figures:
            plain = glyphs.plain(text)
            pieces += [(" " * (cells - len(plain)), style), (plain, f"{style} underline" if is_broken else style)]
        return Content.assemble(*pieces)
