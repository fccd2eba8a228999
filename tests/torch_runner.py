"""A runner on the original module, for tests of tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

from autocompress.formats.base import Runner


class TorchRunner(Runner):
    """Runs a torch module as it is."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def forward(self, inputs):
        import torch

        with torch.inference_mode():
            outputs = self.module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items() if isinstance(value, torch.Tensor)}

    def generate(self, inputs, max_new_tokens, min_new_tokens=0):
        import torch

        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        with torch.inference_mode():
            limits = {"max_new_tokens": max_new_tokens, "min_new_tokens": min_new_tokens or None}
            return np.asarray(self.module.generate(**tensors, do_sample=False, **limits))
