"""The three parts of the data: calibration, search and holdout; seeded, and disjoint by content.

Where a part comes from: a path of its own; else ``path``; else the search file. Parts that share a source are cut from
it by the ratio of their fractions. The first role is what the model sees: rows that are equal in it are one item, and
all of them land in the same part. Between sources the part that judges last keeps its rows: what also occurs in the
holdout is left out of search and calibration, and what also occurs in search is left out of calibration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autocompress.data.columns import assign_roles
from autocompress.data.rows import Rows, content_digest
from autocompress.data.source import read_source
from autocompress.errors import DataError
from autocompress.tasks.base import PARTS, Part

if TYPE_CHECKING:
    from autocompress.spec import DataSpec
    from autocompress.tasks.base import Role

LARGEST_PARTS: Mapping[Part, int] = {"calibration": 128, "search": 1000, "holdout": 2000}
"""Rows of each part where the spec says nothing."""
MOST_TRAINING_ROWS = 100_000


def read_parts(spec: DataSpec, roles: Sequence[Role], seed: int) -> dict[Part, Rows]:
    """Read and cut the data; every part has at least one row.

    Raises:
        DataError: not found, damaged, a column missing, or too few different rows.
        EnvironmentProblem: a package that reads this kind of data is missing.
    """
    parts = _cut_parts(spec, roles, seed)
    limits = {**LARGEST_PARTS, **spec.samples}
    return {part: draw_rows(parts[part], limits[part], seed, roles[0].name) for part in PARTS}


def read_training(spec: DataSpec, roles: Sequence[Role], seed: int) -> Rows:
    """The rows to train on: those of ``spec.training`` that no other part judges by, else the whole calibration part.

    Raises:
        DataError: see `read_parts`; or all rows also occur in the parts that judge.
    """
    role = roles[0].name
    parts = _cut_parts(spec, roles, seed)
    rows = parts["calibration"]
    if spec.training is not None:
        judging = {content_digest(value) for part in ("search", "holdout") for value in parts[part].columns[role]}
        rows = assign_roles(read_source(spec.training, spec), roles, spec.columns)
        rows = rows.take([index for index, v in enumerate(rows.columns[role]) if content_digest(v) not in judging])
        if not len(rows):
            raise DataError("all training rows also occur in the search or holdout part", where=spec.training)
    return rows.take(_drawn_order(rows, seed, role)[:MOST_TRAINING_ROWS])


def _cut_parts(spec: DataSpec, roles: Sequence[Role], seed: int) -> dict[Part, Rows]:
    """All rows of each part."""
    sources: dict[str, list[Part]] = {}
    for part in PARTS:
        own: str | None = getattr(spec, part)
        source = own or spec.path or spec.search
        assert source is not None, "DataSpec makes sure of a source"
        sources.setdefault(source, []).append(part)
    parts: dict[Part, Rows] = {}
    for source, sharing in sources.items():
        rows = assign_roles(read_source(source, spec), roles, spec.columns)
        shares = {part: spec.fractions[PARTS.index(part)] for part in sharing}
        parts |= split_rows(rows, shares, seed, roles[0].name)
    return _without_shared_rows(parts, roles[0].name) if len(sources) > 1 else parts


def split_rows(rows: Rows, shares: Mapping[Part, float], seed: int, role: str) -> dict[Part, Rows]:
    """Cut rows by the ratio of the shares; equal content stays together, and the order of the rows is kept.

    Raises:
        DataError: fewer different rows than parts.
    """
    items: dict[bytes, list[int]] = {}
    for index in _drawn_order(rows, seed, role):
        items.setdefault(content_digest(rows.columns[role][index]), []).append(index)
    if len(items) < len(shares):
        raise DataError(
            f"{len(items)} different rows cannot be cut into {', '.join(shares)}",
            where=rows.source,
            remedy="Give more data, or a file for each part.",
        )
    groups = list(items.values())
    cut: dict[Part, Rows] = {}
    start, passed, total = 0, 0.0, sum(shares.values())
    for number, (part, share) in enumerate(shares.items(), 1):
        passed += share
        # Every part, also a later one, gets at least one item.
        stop = round(len(groups) * passed / total)
        stop = min(max(stop, start + 1), len(groups) - (len(shares) - number))
        cut[part] = rows.take(sorted(index for group in groups[start:stop] for index in group))
        start = stop
    return cut


def draw_rows(rows: Rows, n_rows: int, seed: int, role: str) -> Rows:
    """At most ``n_rows`` rows drawn with the seed, in their original order."""
    if len(rows) <= n_rows:
        return rows
    return rows.take(sorted(_drawn_order(rows, seed, role)[:n_rows]))


def _drawn_order(rows: Rows, seed: int, role: str) -> list[int]:
    """Indices in an order that depends on the seed and the rows' content, but not on where the rows stand."""
    keys = [content_digest(seed, value) for value in rows.columns[role]]
    return sorted(range(len(rows)), key=lambda index: (keys[index], index))


def _without_shared_rows(parts: Mapping[Part, Rows], role: str) -> dict[Part, Rows]:
    kept: dict[Part, Rows] = {}
    seen: set[bytes] = set()
    for part in reversed(PARTS):
        rows = parts[part]
        digests = [content_digest(value) for value in rows.columns[role]]
        fresh = [index for index, digest in enumerate(digests) if digest not in seen]
        if not fresh:
            raise DataError(
                f"all rows of the {part} part also occur in a later part",
                where=rows.source,
                remedy="Give each part data of its own, or one path to be cut.",
            )
        kept[part] = rows if len(fresh) == len(rows) else rows.take(fresh)
        seen.update(digests)
    return kept
