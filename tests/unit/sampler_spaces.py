"""Small conditional spaces, by hand and by hypothesis, that the sampler is tried on."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from autocompress.search.sampler import Figure, Space, Suggests

Toy = tuple[tuple[str, Any], ...]

FIGURES = (Figure("size"), Figure("lost", shift=0.01))


def toy(trial: Suggests) -> Toy:
    """A method with its own knobs, and two knobs for all: 6 × 3 × 10 configurations."""
    method = trial.suggest_categorical("method", ["none", "int8", "groups"])
    answers: list[tuple[str, Any]] = [("method", method)]
    if method == "groups":
        answers.append(("groups.bits", trial.suggest_categorical("groups.bits", [2, 3, 4, 8])))
    answers.append(("format", trial.suggest_categorical("format", ["a", "b", "c"])))
    answers.append(("sparsity", trial.suggest_float("sparsity", 0.0, 0.9, step=0.1)))
    return tuple(answers)


def figures_of(one: Toy) -> tuple[float, float]:
    """Size and loss."""
    knobs = dict(one)
    bits = knobs.get("groups.bits", {"none": 32, "int8": 8}.get(knobs["method"]))
    size = bits / 32 * (1 - 0.9 * knobs["sparsity"]) + {"a": 0.0, "b": 0.02, "c": 0.1}[knobs["format"]]
    return size, 2.0**-bits / 10 + knobs["sparsity"] ** 4 / 20


@st.composite
def spaces(draw: st.DrawFn) -> Space[Toy]:
    """A tree of questions, each option with questions of its own, some of the configurations refused or equal."""
    n_top = draw(st.integers(1, 3))
    options = [draw(st.integers(1, 4)) for _ in range(n_top)]
    below = draw(st.lists(st.tuples(st.integers(0, n_top - 1), st.integers(0, 3), st.integers(1, 4)), max_size=3))
    steps = draw(st.integers(0, 5))
    refused = draw(st.integers(2, 5))
    inert = draw(st.booleans())

    def propose(trial: Suggests) -> Toy:
        answers: list[tuple[str, Any]] = []
        for top, count in enumerate(options):
            chosen = trial.suggest_categorical(f"top {top}", list(range(count)))
            answers.append((f"top {top}", chosen))
            for number, (parent, value, n_values) in enumerate(below):
                if parent == top and value == chosen:
                    name = f"top {top}.{number}"
                    answers.append((name, trial.suggest_categorical(name, [None, *range(n_values)])))
        answers.append(("share", trial.suggest_float("share", 0.1, 0.1 + 0.2 * steps, step=0.2)))
        return tuple(answers)

    def refusal(one: Toy) -> str | None:
        return "refused" if sum(value or 0 for _, value in one[:-1]) % refused == 1 else None

    def key(one: Toy) -> str:
        return str(one[:-1] if inert else one)

    return Space(propose, refusal=refusal, key=key)
