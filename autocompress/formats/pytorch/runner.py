"""Runs a PyTorch module on NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autocompress.formats.base import Runner
from autocompress.model_state import float_dtype

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import Inputs


class PyTorchRunner(Runner):
    """A module in evaluation mode on ``device``; floating inputs are cast to the type of its weights."""

    def __init__(self, module: nn.Module, device: str) -> None:
        import torch

        self.module = module
        self.device = device
        self._dtype: torch.dtype = getattr(torch, float_dtype(module))

    def forward(self, inputs: Inputs) -> dict[str, npt.NDArray[Any]]:
        """See `Runner.forward`; floating outputs come as float32, what is no tensor is left out."""
        import torch

        with torch.inference_mode():
            outputs = self.module(**self._tensors(inputs))
            return {name: _array(value) for name, value in outputs.items() if isinstance(value, torch.Tensor)}

    def generate(self, inputs: Inputs, max_new_tokens: int, min_new_tokens: int = 0) -> npt.NDArray[Any]:
        """See `Runner.generate`."""
        import torch

        if not hasattr(self.module, "generate"):
            return super().generate(inputs, max_new_tokens)
        length = {"max_new_tokens": max_new_tokens, **({"min_new_tokens": min_new_tokens} if min_new_tokens else {})}
        module: Any = self.module
        with torch.inference_mode():
            tokens = module.generate(**self._tensors(inputs), do_sample=False, num_beams=1, **length)
        return _array(tokens)

    def synchronize(self) -> None:
        """See `Runner.synchronize`."""
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def close(self) -> None:
        """See `Runner.close`."""
        import torch

        del self.module
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _tensors(self, inputs: Inputs) -> dict[str, Tensor]:
        import torch

        tensors = {}
        for name, array in inputs.items():
            tensor = torch.from_numpy(np.ascontiguousarray(array))
            dtype = self._dtype if tensor.is_floating_point() else tensor.dtype
            tensors[name] = tensor.to(self.device, dtype)
        return tensors


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
    return values
