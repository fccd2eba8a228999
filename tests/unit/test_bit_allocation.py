"""The integer program of mixed precision, against trying everything."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompress.bit_allocation import allocate_bits
from autocompress.errors import Unsupported

WIDTHS = (2, 4, 8)

problems = st.lists(
    st.tuples(st.integers(1, 50), st.tuples(*[st.floats(0.001, 100) for _ in WIDTHS])), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None)
@given(problems, st.floats(2, 8))
def test_it_finds_what_trying_everything_finds(problem: list, average: float) -> None:
    harm = {
        f"w{i}": dict(zip(WIDTHS, sorted(costs, reverse=True), strict=True)) for i, (_, costs) in enumerate(problem)
    }
    sizes = {f"w{i}": {width: count * width for width in WIDTHS} for i, (count, _) in enumerate(problem)}
    budget = average * sum(count for count, _ in problem)
    everything = itertools.product(WIDTHS, repeat=len(problem))
    fitting = [c for c in everything if sum(sizes[f"w{i}"][w] for i, w in enumerate(c)) <= budget + 1e-9]
    least = min(sum(harm[f"w{i}"][w] for i, w in enumerate(choice)) for choice in fitting)
    found = allocate_bits(harm, sizes, budget)
    assert found.keys() == harm.keys()
    assert sum(sizes[name][width] for name, width in found.items()) <= budget * (1 + 1e-6)
    largest = max(max(of.values()) for of in harm.values())
    assert sum(harm[name][width] for name, width in found.items()) <= least * (1 + 1e-3) + 1e-6 * largest


def test_of_equal_harm_the_smaller_model_wins() -> None:
    assert allocate_bits({"a": {2: 1.0, 8: 1.0}}, {"a": {2: 2, 8: 8}}, 100) == {"a": 2}


def test_a_budget_below_the_narrowest_widths_is_refused() -> None:
    with pytest.raises(Unsupported, match="narrowest integers take"):
        allocate_bits({"a": {2: 1.0}}, {"a": {2: 16}}, 8)
