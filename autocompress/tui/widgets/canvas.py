"""A canvas of character cells: braille dots, lines, marks and text; ASCII where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

BRAILLE = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of the dot in row and column of a cell."""
_UPPER, _LOWER = sum((*_BITS[0], *_BITS[1])), sum((*_BITS[2], *_BITS[3]))
DOTS_ACROSS, DOTS_DOWN = 2, 4


class Canvas:
    """Cells that are drawn into from the back to the front.

    Args:
        width, height: in cells.
        is_ascii: no character beyond ASCII is used.
    """

    def __init__(self, width: int, height: int, *, is_ascii: bool) -> None:
        self.width, self.height, self.is_ascii = width, height, is_ascii
        self._characters = [[" "] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]
        self._dots = [[0] * width for _ in range(height)]

    def copy(self) -> Canvas:
        """The same picture, to be drawn over."""
        other = Canvas(0, 0, is_ascii=self.is_ascii)
        other.width, other.height = self.width, self.height
        other._characters = [row[:] for row in self._characters]
        other._styles = [row[:] for row in self._styles]
        other._dots = [row[:] for row in self._dots]
        return other

    def dot(self, x: int, y: int, style: str, plain: str = ".") -> None:
        """A braille dot; x and y count dots, two by four to a cell. ``plain`` stands for its cell in ASCII."""
        column, row = x // DOTS_ACROSS, y // DOTS_DOWN
        if not (0 <= column < self.width and 0 <= row < self.height):
            return
        if self.is_ascii:
            self._characters[row][column] = plain
        else:
            self._dots[row][column] |= _BITS[y % DOTS_DOWN][x % DOTS_ACROSS]
            self._characters[row][column] = chr(BRAILLE + self._dots[row][column])
        self._styles[row][column] = style

    def block(self, x: int, y: int, style: str, plain: str) -> None:
        """Four braille dots, two by two, about a dot's place; they never leave its cell."""
        column, row = x // DOTS_ACROSS, y // DOTS_DOWN
        if not (0 <= column < self.width and 0 <= row < self.height):
            return
        if self.is_ascii:
            self._characters[row][column] = plain
        else:
            self._dots[row][column] |= _UPPER if y % DOTS_DOWN < DOTS_DOWN // 2 else _LOWER
            self._characters[row][column] = chr(BRAILLE + self._dots[row][column])
        self._styles[row][column] = style

    def put(self, column: int, row: int, character: str, style: str, *, over: bool = True) -> None:
        """A character in a cell; with ``over`` false only where nothing was drawn."""
        if 0 <= column < self.width and 0 <= row < self.height and (over or self._characters[row][column] == " "):
            self._characters[row][column] = character
            self._styles[row][column] = style
            self._dots[row][column] = 0

    def text(self, column: int, row: int, text: str, style: str) -> None:
        """Text from a cell on; what does not fit is cut off."""
        for at, character in enumerate(text, column):
            self.put(at, row, character, style)

    def across(self, row: int, left: int, right: int, character: str, style: str, *, over: bool = True) -> None:
        """A horizontal line, both ends included."""
        for column in range(left, right + 1):
            self.put(column, row, character, style, over=over)

    def down(self, column: int, top: int, bottom: int, character: str, style: str, *, over: bool = True) -> None:
        """A vertical line, both ends included."""
        for row in range(top, bottom + 1):
            self.put(column, row, character, style, over=over)

    def restyle(self, column: int, row: int, style: str) -> None:
        """Another style for a cell."""
        if 0 <= column < self.width and 0 <= row < self.height:
            self._styles[row][column] = style

    def strips(self, style_of: Callable[[str], Style]) -> Iterator[Strip]:
        """The lines, from the top."""
        for characters, styles in zip(self._characters, self._styles, strict=True):
            segments: list[Segment] = []
            start = 0
            for at in range(1, self.width + 1):
                if at == self.width or styles[at] != styles[start]:
                    segments.append(Segment("".join(characters[start:at]), style_of(styles[start])))
                    start = at
            yield Strip(segments, self.width)
