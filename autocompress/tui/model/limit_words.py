"""What a limit means for this model, in units: ``accuracy may fall from 92.3 % to 91.3 %``."""

from __future__ import annotations

from autocompress.limits import Bound, parse_bound
from autocompress.report.numbers import NOT_MEASURED, megabytes, milliseconds
from autocompress.rounding import significant
from autocompress.tui.model.probe import Baseline

BYTES_PER_GB = 10**9
NO_LIMIT = "no limit"


def limit_problem(name: str, text: str, baseline: Baseline | None, device: str) -> str | None:
    """Why a limit cannot be set so, as a sentence with its remedy; None where it can, or is left empty."""
    if not text.strip():
        return None
    if name == "vram" and device == "cpu":
        return "GPU memory cannot be measured on the CPU. Leave it empty, or limit RAM."
    try:
        bound = parse_bound(name, text)
    except ValueError as problem:
        return f"{problem}."
    if name == "quality_drop":
        if baseline is not None and not baseline.metric_is_rate and bound.written.endswith("pp"):
            return f"{baseline.metric} is no rate, so it has no points. Write 1% of its value, or 0.5 of its unit."
        return None
    if bound.relative and baseline is not None and _original(name, baseline) is None:
        return "The original's figure is not known, so nothing is relative to it. Write it in its unit."
    return None


def limit_meaning(name: str, text: str, baseline: Baseline | None) -> str:
    """What a valid limit means; without a baseline only what it says."""
    if not text.strip():
        return NO_LIMIT
    bound = parse_bound(name, text)
    if name == "quality_drop":
        return _drop_meaning(bound, baseline)
    original = _original(name, baseline) if baseline else None
    most = bound.bound * original if bound.relative and original else bound.bound
    if bound.relative and not original:
        return f"at most {significant(bound.bound)}× the original's"
    if not original:
        return f"at most {told(name, most)}"
    if most >= original:
        return f"at most {told(name, most)}; the original has {told(name, original)} already"
    return f"at most {told(name, most)}, {_compared(name, original / most)} (now {told(name, original)})"


def told(name: str, value: float | None) -> str:
    """A figure with its unit; a dash where it was not measured."""
    if value is None:
        return NOT_MEASURED
    if name == "latency":
        return f"{milliseconds(value)} ms"
    if value >= BYTES_PER_GB:
        return f"{significant(value / BYTES_PER_GB)} GB"
    return f"{megabytes(value)} MB"


def told_metric(value: float | None, baseline: Baseline) -> str:
    """The metric's value; rates in percent."""
    if value is None:
        return NOT_MEASURED
    return f"{value * 100:.1f} %" if baseline.metric_is_rate else significant(value)


def _compared(name: str, factor: float) -> str:
    return f"{significant(factor, 2)}× {'faster' if name == 'latency' else 'smaller'}"


def _drop_meaning(bound: Bound, baseline: Baseline | None) -> str:
    if baseline is None or baseline.value is None:
        written = f"{significant(bound.bound * 100)} %" if bound.relative else bound.written
        return f"at most {written} worse than the original"
    value = baseline.value
    loss = bound.bound * abs(value) if bound.relative else bound.bound
    verb, worst = ("fall", value - loss) if baseline.higher_is_better else ("rise", value + loss)
    if baseline.higher_is_better and value >= 0:
        worst = max(worst, 0.0)
    if loss == 0:
        return f"{baseline.metric} may not {verb} at all from {told_metric(value, baseline)}"
    return f"{baseline.metric} may {verb} from {told_metric(value, baseline)} to {told_metric(worst, baseline)}"


def _original(name: str, baseline: Baseline) -> float | None:
    match name:
        case "size":
            return baseline.size_bytes
        case "latency":
            return baseline.p50_ms
        case "ram":
            return baseline.ram_bytes
        case _:
            return baseline.vram_bytes
