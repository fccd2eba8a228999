"""Image classification: one image, one class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocompress.tasks.base import Role, Sample
from autocompress.tasks.classification import Classification
from autocompress.tasks.labels import label_names, label_numbers
from autocompress.tasks.model_folder import read_config

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.spec import ModelSpec


class ImageClassification(Classification):
    """Accuracy of the most likely class. Images go through the model's own image processor; grey ones become RGB."""

    name = "image-classification"
    summary = "one image, one class; accuracy"
    architectures = ("*ForImageClassification",)
    auto_class = "AutoModelForImageClassification"
    roles = (
        Role("image", ("image", "images", "img", "x", "pixels", "file", "path", "filename", "file_name")),
        Role("label", ("label", "labels", "class", "category", "target", "y", "fine_label")),
    )

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

    def training_inputs(self, model: ModelSpec, sample: Sample) -> Inputs:
        """See `Task.training_inputs`; ``labels`` of shape (1,)."""
        del model
        return {**sample.inputs, "labels": np.array([sample.target], dtype=np.int64)}

    def timing_inputs(self, model: ModelSpec, samples: Sequence[Sample]) -> Inputs:
        """The first image."""
        del model
        return samples[0].inputs
