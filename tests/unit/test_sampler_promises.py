"""What proposals promised, against what came of them."""

from __future__ import annotations

import pytest

from autocompress.search.sampler.promises import CREDIT, LATEST, Promises


def followed(*trials: tuple[float | None, bool, tuple[float, float] | None]) -> Promises:
    """Trials after a first one that dominates a quarter: promise, whether of a guard, values."""
    promises = Promises((1.0, 1.0))
    ended: list[tuple[str, tuple[float, float] | None]] = [("first", (0.5, 0.5))]
    for number, (promised, guarding, values) in enumerate(trials):
        if promised is not None:
            promises.make(str(number), promised, guarding=guarding)
        ended.append((str(number), values))
        promises.follow(ended)
    return promises


def test_promises_count_in_full_until_some_were_broken() -> None:
    assert followed().kept_share == 1.0
    assert followed((0.5, False, (0.5, 0.25))).kept_share == 1.0
    assert followed((0.5, False, None)).kept_share == pytest.approx(CREDIT / (1 + CREDIT))
    assert followed((None, False, None)).kept_share == 1.0


def test_promises_are_forgotten_after_a_while() -> None:
    kept = [(0.001, False, (0.5 - 0.001 * number, 0.5)) for number in range(1, LATEST + 1)]
    assert followed((5.0, False, None), *kept[:3]).kept_share < 0.4
    assert followed((5.0, False, None), *kept).kept_share > 0.9


def test_guards_do_better_where_their_trials_have_brought_more() -> None:
    useless, useful = (0.1, (0.6, 0.6)), (0.1, (0.2, 0.2))
    assert not followed((0.1, False, (0.6, 0.6))).guards_do_better
    assert followed((useless[0], False, useless[1]), (useful[0], True, useful[1])).guards_do_better
    assert not followed((useful[0], False, useful[1]), (useless[0], True, useless[1])).guards_do_better


def test_trials_that_end_in_another_order_are_all_followed() -> None:
    promises = Promises((1.0, 1.0))
    promises.make("slow", 0.5, guarding=False)
    promises.follow([("first", (0.5, 0.5)), ("quick", (0.4, 0.5))])
    promises.follow([("first", (0.5, 0.5)), ("slow", None), ("quick", (0.4, 0.5))])
    assert promises.kept_share == pytest.approx(CREDIT / (1 + CREDIT))
