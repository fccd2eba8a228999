"""The front against brute force."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autocompress.dominance import nondominated

points = st.lists(st.tuples(*[st.integers(-3, 3).map(float)] * 3), max_size=40)


@given(points)
def test_the_front_is_what_no_other_point_is_as_good_as_and_better(figures: list[tuple[float, float, float]]) -> None:
    expected = {
        number
        for number, (x, y, z) in enumerate(figures)
        if not any(a <= x and b <= y and c <= z and (a, b, c) != (x, y, z) for a, b, c in figures)
    }
    assert nondominated(dict(enumerate(figures))) == expected
