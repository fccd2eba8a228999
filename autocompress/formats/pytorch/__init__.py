"""PyTorch: safetensors in the layout of Hugging Face, coded weights packed beside the dense ones."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.formats.base import Format, Runner, Unavailable
from autocompress.recipe import steps_from_plain

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, StepContext
    from autocompress.facts import ModelFacts
    from autocompress.formats.foresight import FileSize
    from autocompress.outline import Outline
    from autocompress.recipe import Step
    from autocompress.spec import ModelSpec

KNOWN_GOOD: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"kmeans": {"n_centroids": 16}},),
    ({"int8_weight_only": {}},),
    ({"gptq": {"bits": 4, "group_size": 64}},),
    ({"fp16": {}},),
)


class PyTorchFormat(Format):
    """Files that plain ``from_pretrained`` reads where all weights are dense; coded weights are unpacked at load."""

    name = "pytorch"
    summary = "safetensors for PyTorch; coded weights are packed on disk and unpacked at load"
    imports = ("torch", "safetensors.torch")

    def unavailable(self, device: str) -> Unavailable | None:
        """See `Format.unavailable`."""
        torch = find_spec("torch")
        if torch is None or torch.origin is None:
            return Unavailable(reason="torch is not installed", install="pip install torch")
        if device == "cuda" and not (Path(torch.origin).parent / "lib" / "libtorch_cuda.so").exists():
            return Unavailable(
                reason="the installed torch is built for the CPU only",
                install="pip install --force-reinstall torch",
            )
        return None

    def refuses(self, steps: tuple[Step, ...], facts: ModelFacts, device: str) -> str | None:
        """See `Format.refuses`."""
        del facts, device
        for step in steps:
            if step.tag in ("int8_dynamic", "int8_static"):
                return f"PyTorch's kernels for {step.tag} are deprecated; use the format onnx"
        return None

    def known_good(self) -> tuple[tuple[Step, ...], ...]:
        """See `Format.known_good`."""
        return tuple(steps_from_plain(steps) for steps in KNOWN_GOOD)

    def foresee(self, outline: Outline, *, is_original: bool) -> FileSize:
        """See `Format.foresee`."""
        from autocompress.formats.pytorch.size import foreseen_size

        return foreseen_size(outline, is_original)

    def export(self, model: CompressibleModel, folder: Path, context: StepContext) -> str:
        """See `Format.export`; writes ``model.safetensors`` and, where needed, what `files.write_files` lists."""
        from autocompress.formats.pytorch.files import write_files

        return write_files(model, folder, context.task)

    def load(self, folder: Path, device: str, threads: int, model: ModelSpec | None = None) -> Runner:
        """See `Format.load`.

        Raises:
            ModelError: the folder is not what `export` writes, or its code is in a task file that is not named.
        """
        import torch

        from autocompress.formats.pytorch.files import read_module
        from autocompress.formats.pytorch.runner import PyTorchRunner

        torch.set_num_threads(threads)
        return PyTorchRunner(read_module(folder, model).to(device), device)
