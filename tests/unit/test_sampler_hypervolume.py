"""Hypervolume and its expected improvement against counting points and against chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompress.search.sampler.hypervolume import Belief, expected_improvement, hypervolume, undominated

REFERENCE = (1.0, 1.0, 1.0)


def cells(points: np.ndarray, n_values: int, grid: int) -> np.ndarray:
    """Whether each cell of a grid over the unit cube is dominated by the points, which lie on the grid."""
    axes = [(np.arange(grid) + 0.5) / grid] * n_values
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, n_values)
    return (points[None] <= centres[:, None]).all(axis=2).any(axis=1)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 3), st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=9))
def test_hypervolume_is_the_share_of_the_cells_that_are_dominated(n_values: int, corners: list[list[int]]) -> None:
    points = np.array(corners, dtype=float)[:, :n_values] / 8
    expected = cells(points, n_values, 8).mean()
    assert hypervolume(points, (1.0,) * n_values) == pytest.approx(expected)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 3), st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), max_size=9))
def test_the_undominated_boxes_are_disjoint_and_fill_the_rest(n_values: int, corners: list[list[int]]) -> None:
    points = np.array(corners, dtype=float).reshape(-1, 3)[:, :n_values] / 8
    boxes = undominated(points, (1.0,) * n_values)
    low = np.maximum(boxes.low, 0.0)
    volume = np.prod(boxes.high - low, axis=1).sum()
    assert volume + hypervolume(points, (1.0,) * n_values) == pytest.approx(1.0)


def improvement_by_chance(
    front: np.ndarray, beliefs: list[Belief], limits: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    before = hypervolume(front, REFERENCE)
    gains = []
    for _ in range(600):
        drawn = np.stack([belief.draw(generator) for belief in beliefs], axis=1)
        kept = (drawn <= np.array(limits)).all(axis=1)
        after = [hypervolume(np.vstack([front, point]), REFERENCE) for point in drawn]
        gains.append(np.where(kept, np.array(after) - before, 0.0))
    return np.mean(gains, axis=0), np.std(gains, axis=0) / np.sqrt(len(gains))


@pytest.mark.parametrize("limits", [(np.inf,) * 3, (np.inf, 0.7, 0.4), (0.5, np.inf, 5.0)])
@pytest.mark.parametrize("size", [0, 1, 6])
@pytest.mark.parametrize("floor", [-np.inf, 0.3])
def test_expected_improvement_is_the_mean_over_draws(limits: tuple[float, ...], size: int, floor: float) -> None:
    generator = np.random.default_rng(size)
    front = np.maximum(generator.uniform(0.2, 1.0, (size, 3)), (0.0, 0.0, floor))
    beliefs = [
        Belief(generator.uniform(0, 1, 4), generator.uniform(0.05, 0.4, 4)),
        Belief(generator.uniform(0, 1, 4), np.full(4, 1e-4)),
        Belief(np.log(generator.uniform(0.1, 0.8, 4)), generator.uniform(0.05, 0.8, 4), shift=0.05, floor=floor),
    ]
    exact = expected_improvement(undominated(front, REFERENCE), beliefs, limits)
    mean, error = improvement_by_chance(front, beliefs, limits)
    assert np.abs(exact - mean) == pytest.approx(np.zeros(4), abs=float(5 * error.max() + 1e-6))


def test_what_lies_below_the_floor_is_no_better_than_the_floor() -> None:
    there = undominated(np.array([[0.0]]), (1.0,))
    better = Belief(np.array([-0.5]), np.array([0.1]))
    assert expected_improvement(there, [better], (np.inf,))[0] == pytest.approx(0.5)
    as_good = Belief(np.array([-0.5]), np.array([0.1]), floor=0.0)
    assert expected_improvement(there, [as_good], (np.inf,))[0] == 0.0


def test_a_shifted_logarithm_keeps_below_a_limit_as_often_as_its_draws() -> None:
    belief = Belief(np.array([np.log(0.02)]), np.array([0.5]), shift=0.01)
    generator = np.random.default_rng(0)
    drawn = np.array([belief.draw(generator)[0] for _ in range(20_000)])
    assert belief.below(np.array([0.01]))[0, 0] == pytest.approx(0.5)
    assert belief.below(np.array([0.03]))[0, 0] == pytest.approx((drawn <= 0.03).mean(), abs=0.01)
    assert belief.below(np.array([-0.02]))[0, 0] == 0.0


def test_a_belief_without_bounds_gives_finite_expectations() -> None:
    wild = Belief(np.array([0.0, 400.0]), np.array([30.0, 30.0]), shift=0.01)
    assert np.isfinite(expected_improvement(undominated(np.empty((0, 1)), (1.0,)), [wild], (np.inf,))).all()
