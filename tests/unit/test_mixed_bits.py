"""Bits per weight: the budget is kept, and what is measured is what rounding does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import bert, compressed, step_context, token_calls

from autocompress.compressible import CompressibleModel, Weight
from autocompress.encodings import Dense
from autocompress.errors import Unsupported
from autocompress.methods.integer_coding import round_to_nearest
from autocompress.methods.mixed_bits import HALF, WIDTHS, stored_bits
from autocompress.methods.rtn import RoundToNearest
from autocompress.sensitivity import sensitivities

CALLS = token_calls(6)


def bits_taken(model: CompressibleModel) -> tuple[int, int]:
    """Stored bits and elements of the weights that the step took."""
    names = model.encodings.keys()
    taken = sum(8 * encoding.packed_bytes for encoding in model.encodings.values())
    return taken, sum(w.fact.n_elements for w in model.weights() if w.name in names)


@pytest.mark.parametrize("tag", ["rtn", "gptq", "awq"])
@pytest.mark.parametrize("effective_bits", [3.0, 4.25, 9.0])
def test_the_stored_weights_take_no_more_than_was_given(tag: str, effective_bits: float, tmp_path: Path) -> None:
    step = {tag: {"effective_bits": effective_bits, "group_size": 32, "symmetric": True}}
    model = compressed(bert(), tmp_path, step, calibration=CALLS)
    taken, n_elements = bits_taken(model)
    columns = sum(16 * e.shape[1] for e in model.encodings.values() if getattr(e, "input_scales", None) is not None)
    assert taken - columns <= effective_bits * n_elements
    widths = {getattr(e, "bits", HALF) for e in model.encodings.values()}
    assert len(widths) > 1


def test_a_layer_that_the_output_hangs_on_gets_more_bits_than_the_others(tmp_path: Path) -> None:
    module = bert()
    with torch.no_grad():  # what the other layers add to the residual stream hardly counts
        for layer in module.bert.encoder.layer:
            layer.output.dense.weight.mul_(1e-3)
            layer.attention.output.dense.weight.mul_(1e-3)
    step = {"rtn": {"effective_bits": 4.0, "group_size": 32, "scope": "layers"}}
    model = compressed(module, tmp_path, step, calibration=CALLS)
    bits = {name: getattr(encoding, "bits", HALF) for name, encoding in model.encodings.items()}
    assert bits["bert.pooler.dense.weight"] > bits["bert.encoder.layer.0.output.dense.weight"]


@contextmanager
def rounded_to(weight: Weight, bits: int) -> Iterator[None]:
    kept = weight.matrix.clone()
    weight.write(torch.from_numpy(round_to_nearest(kept, bits, 32, symmetric=True).decode()))
    yield
    weight.write(kept)


def test_eight_bits_do_as_much_harm_as_they_are_taken_to() -> None:
    """A quarter of the harm for each bit more than 4, within a factor of two over all weights."""
    module = bert()
    module.classifier.weight.data.mul_(100)  # lifts what 8 bits do out of the noise of floating point
    model = CompressibleModel(module)
    alterations = {width: {w.name: partial(rounded_to, w, width) for w in model.weights("linear")} for width in (4, 8)}
    four, eight = (sum(sensitivities(module, CALLS, alterations[width], "cpu").values()) for width in (4, 8))
    assert four / 4**4 / 2 < eight < four / 4**4 * 2


def test_weights_of_sixteen_bits_are_float16(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"rtn": {"effective_bits": 16.0, "group_size": 32}}, calibration=CALLS)
    halves = [e for e in model.encodings.values() if isinstance(e, Dense)]
    assert halves
    assert all(e.values.dtype == np.float16 for e in halves)


def test_the_size_foretold_is_the_size_stored(tmp_path: Path) -> None:
    for symmetric in (True, False):
        for bits in WIDTHS:
            step = RoundToNearest(bits=bits, group_size=32, symmetric=symmetric)
            model = CompressibleModel(bert())
            step.apply(model, step_context(model.module, tmp_path))
            for weight in model.weights():
                if weight.name in model.encodings:
                    foretold = stored_bits(weight.fact, bits, step)
                    assert 0 <= 8 * model.encodings[weight.name].packed_bytes - foretold < 16


def test_too_few_bits_and_no_data_are_refused(tmp_path: Path) -> None:
    model = CompressibleModel(bert())
    step = RoundToNearest(effective_bits=2.0, group_size=32)
    given, nothing = step_context(model.module, tmp_path, calibration=CALLS), step_context(model.module, tmp_path / "n")
    with pytest.raises(Unsupported, match="narrowest integers take"):
        step.apply(model, given)
    with pytest.raises(Unsupported, match="calibration data"):
        step.apply(model, nothing)


def test_only_a_step_that_chooses_its_bits_reads_data() -> None:
    assert RoundToNearest(effective_bits=4.0).reads_calibration
    assert not RoundToNearest().reads_calibration
