"""What every installed method must keep to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic_core import PydanticUndefined
from tiny_models import MODELS, bert, resnet, step_context, token_calls
from torch import nn

from autocompress import registry
from autocompress.compressible import CompressibleModel, NonFiniteWeight, StepContext
from autocompress.facts import ModelFacts
from autocompress.model_state import facts_of
from autocompress.recipe import Phase, Step, When, step_from_plain

TAGS = registry.names("methods")
CALIBRATION = token_calls(8)
NO_WEIGHTS = ModelFacts(architecture="Empty", task="any", n_parameters=0, weights=())


@pytest.mark.parametrize("tag", TAGS)
class TestMethod:
    """The contract of a `Step`; a new method is under it as soon as its entry point is installed."""

    def step(self, tag: str) -> Step:
        """The method with all defaults, its groups as narrow as the test's model is, its training short."""
        kind: type[Step] = registry.load("methods", tag)
        small = {"group_size": 32, "steps": 6}
        return kind.model_validate({name: value for name, value in small.items() if name in kind.model_fields})

    def model(self, tag: str, folder: Path) -> tuple[CompressibleModel, StepContext]:
        """A small BERT, or a small ResNet for methods that refuse it."""
        module: nn.Module = bert()
        calls = CALIBRATION
        if self.step(tag).refuses(facts_of(module, "any")):
            module, calls = resnet(), [MODELS["resnet"][1]]
        return CompressibleModel(module), step_context(module, folder, calibration=calls)

    def test_it_is_named_as_its_entry_point_and_described(self, tag: str) -> None:
        kind: type[Step] = registry.load("methods", tag)
        assert kind.tag == tag
        assert kind.phase in Phase
        assert kind.summary
        assert "Source: " in (kind.__doc__ or "")

    def test_every_knob_has_a_default_among_what_is_searched(self, tag: str) -> None:
        kind: type[Step] = registry.load("methods", tag)
        for name, field in kind.model_fields.items():
            assert field.default is not PydanticUndefined
            searched = kind.searched(name)
            options = searched.options if searched else ()
            assert not options or field.default in options, name
            for option in options:
                assert getattr(kind.model_validate({name: option}), name) == option
            for when in (mark for mark in field.metadata if isinstance(mark, When)):
                assert when.knob in kind.model_fields

    def test_it_is_read_as_it_is_written(self, tag: str) -> None:
        step = self.step(tag)
        assert step_from_plain(step.plain(), "steps[0]") == step

    def test_a_model_without_weights_is_refused_or_converted(self, tag: str) -> None:
        assert tag in ("fp16", "bf16") or self.step(tag).refuses(NO_WEIGHTS)

    def test_it_leaves_the_decoded_values_in_place_and_tells_its_progress(self, tag: str, tmp_path: Path) -> None:
        model, context = self.model(tag, tmp_path)
        told: list[tuple[int, int]] = []
        object.__setattr__(context, "progress", lambda done, total: told.append((done, total)))
        self.step(tag).apply(model, context)
        assert told[-1][0] == told[-1][1] > 0
        for weight in model.weights():
            if weight.name in model.encodings:
                decoded = torch.from_numpy(model.encodings[weight.name].decode())
                assert torch.equal(weight.matrix, decoded), weight.name
        model.require_finite()

    def test_the_same_model_gives_the_same_result(self, tag: str, tmp_path: Path) -> None:
        results = []
        for _ in range(2):
            model, context = self.model(tag, tmp_path)
            self.step(tag).apply(model, context)
            results.append(model.module.state_dict())
        assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])

    def test_a_weight_that_is_not_finite_is_refused(self, tag: str, tmp_path: Path) -> None:
        model, context = self.model(tag, tmp_path)
        with torch.no_grad():
            list(model.weights("linear", "convolution"))[5].parameter[0, 0] = float("inf")
        with pytest.raises(NonFiniteWeight, match="inf or nan"):
            self.step(tag).apply(model, context)
