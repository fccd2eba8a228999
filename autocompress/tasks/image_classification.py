"""Image classification: one image, one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.tasks.base import Metric, Role, Sample, Score, Task
from autocompress.tasks.labels import accuracy_score, label_names, label_numbers, require_classes
from autocompress.tasks.model_folder import read_config

if TYPE_CHECKING:
    from torch import nn

    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec

AUTO_CLASS = "AutoModelForImageClassification"


class ImageClassification(Task):
    """Accuracy of the most likely class. Images go through the model's own image processor; grey ones become RGB."""

    name = "image-classification"
    summary = "one image, one class; accuracy"
    metric = Metric(name="accuracy", higher_is_better=True)
    roles = (
        Role("image", ("image", "images", "img", "x", "pixels", "file", "path", "filename", "file_name")),
        Role("label", ("label", "labels", "class", "category", "target", "y", "fine_label")),
    )

    def claims(self, config: Mapping[str, Any]) -> bool:
        """See `Task.claims`."""
        return any(name.endswith("ForImageClassification") for name in config.get("architectures") or ())

    def check_rows(self, rows: Rows) -> None:
        """See `Task.check_rows`."""
        require_classes(rows)

    def load_model(self, model: ModelSpec) -> nn.Module:
        """See `Task.load_model`."""
        from autocompress.tasks.transformers_models import load_pretrained

        return load_pretrained(model, AUTO_CLASS)

    def rebuild(self, model: ModelSpec, overrides: Mapping[str, int]) -> nn.Module:
        """See `Task.rebuild`."""
        from autocompress.tasks.transformers_models import rebuild_pretrained

        return rebuild_pretrained(model, AUTO_CLASS, overrides)

    def samples(self, model: ModelSpec, rows: Rows) -> Sequence[Sample]:
        """See `Task.samples`; inputs are ``pixel_values`` of shape (1, 3, height, width)."""
        from autocompress.data.image import read_image
        from autocompress.tasks.transformers_models import load_image_processor

        numbers = label_numbers(rows, label_names(read_config(model)))
        processor = load_image_processor(model)
        samples = []
        for row, (stored, number) in enumerate(zip(rows.columns["image"], numbers, strict=True), 1):
            image = read_image(stored, where=f"{rows.source}, row {row}")
            pixels = processor(image, return_tensors="np")["pixel_values"]
            samples.append(Sample({"pixel_values": np.asarray(pixels, dtype=np.float32)}, number))
        return samples

    def timing_inputs(self, model: ModelSpec, samples: Sequence[Sample]) -> Inputs:
        """The first image."""
        del model
        return samples[0].inputs

    def run(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> Any:
        """The logits, shape (1, n_classes)."""
        del model
        return runner.forward(inputs)["logits"]

    def score(self, model: ModelSpec, answer: Any, target: Any) -> Score:
        """See `accuracy_score`."""
        del model
        return accuracy_score(answer, target)
