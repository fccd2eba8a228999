"""The ONNX format: what it refuses, how a model becomes files, how the files are loaded."""

from __future__ import annotations

from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.errors import Unsupported
from autocompress.formats.base import Format, Runner, Unavailable
from autocompress.formats.onnx.size import foreseen_size
from autocompress.recipe import Phase, steps_from_plain

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, StepContext
    from autocompress.facts import ModelFacts
    from autocompress.formats.foresight import FileSize
    from autocompress.outline import Outline
    from autocompress.recipe import Step
    from autocompress.spec import ModelSpec

KNOWN_GOOD: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"int8_dynamic": {"per_channel": True}},),
    ({"int8_static": {}},),
    ({"kmeans": {"n_centroids": 16}}, {"int8_dynamic": {"per_channel": True}}),
    ({"rtn": {"bits": 4, "group_size": 64}}, {"int8_dynamic": {"per_channel": True}}),
    ({"kmeans": {"n_centroids": 16}}, {"int8_static": {}}),
    ({"rtn": {"bits": 4, "group_size": 64}},),
    ({"int8_static": {"smoothing": 0.5, "keep_float": 2}},),
)

MOSTLY = 0.5
"""Above this share of a model's parameters, convolutions decide how it computes."""


class OnnxFormat(Format):
    """ONNX graphs run by ONNX Runtime."""

    name = "onnx"
    summary = "ONNX graphs with packed weights, run by ONNX Runtime"
    imports = ("onnxruntime",)

    def unavailable(self, device: str) -> Unavailable | None:
        """See `Format.unavailable`."""
        extra = "gpu" if device == "cuda" else "cpu"
        install = f"pip install 'autocompress[{extra}]'"
        missing = [name for name in ("onnx", "onnxruntime", "optimum") if find_spec(name) is None]
        if missing:
            return Unavailable(reason=f"not installed: {', '.join(missing)}", install=install)
        installed = _installed_runtimes()
        if len(installed) > 1:
            remove = "pip uninstall -y onnxruntime onnxruntime-gpu"
            return Unavailable(
                reason="onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files",
                install=f"{remove}; {install}",
            )
        if device == "cuda" and installed == ["onnxruntime"]:
            reason = "the installed onnxruntime has no CUDA; onnxruntime-gpu takes its place"
            return Unavailable(reason=reason, install=f"pip uninstall -y onnxruntime; {install}")
        return None

    def refuses(self, steps: tuple[Step, ...], facts: ModelFacts, device: str) -> str | None:
        """See `Format.refuses`."""
        tags = {step.tag for step in steps}
        if "bf16" in tags:
            return "ONNX Runtime's kernels do not take bfloat16"
        of_parts = any(step.phase is Phase.COMPUTE and getattr(step, "part", "model") != "model" for step in steps)
        if of_parts and facts.task != "speech-seq2seq":
            return "a model of this task is one graph, so no part of it can be half by itself"
        if "heads" in tags and facts.decodes and not facts.heads_in_config:
            return "a decoder is exported with as many heads in its cache as its configuration says, which heads leaves"
        quantizers = tags & {"int8_dynamic", "int8_static"}
        if not quantizers:
            return None
        tag = quantizers.pop()
        if tag == "int8_dynamic" and facts.share("convolution") > MOSTLY:
            return "dynamic int8 has no fast convolutions in ONNX Runtime, and this model is mostly convolutions"
        if device == "cuda":
            return f"ONNX Runtime's int8 kernels for {tag} run on the CPU only"
        return None

    def known_good(self) -> tuple[tuple[Step, ...], ...]:
        """See `Format.known_good`."""
        return tuple(steps_from_plain(steps) for steps in KNOWN_GOOD)

    def foresee(self, outline: Outline, *, is_original: bool) -> FileSize:
        """See `Format.foresee`."""
        del is_original  # graphs are in float32 unless a step says otherwise
        return foreseen_size(outline)

    def export(self, model: CompressibleModel, folder: Path, context: StepContext) -> str:
        """See `Format.export`."""
        from autocompress.formats.onnx.export import export

        if model.precision == "bfloat16":
            raise Unsupported("ONNX Runtime's kernels do not take bfloat16")
        return export(model, folder, context)

    def load(self, folder: Path, device: str, threads: int, model: ModelSpec | None = None) -> Runner:
        """See `Format.load`."""
        del model  # a graph holds all that it computes
        from autocompress.formats.onnx.runner import DECODER, OnnxRunner, OnnxSeq2SeqRunner

        kind = OnnxSeq2SeqRunner if (folder / DECODER).exists() else OnnxRunner
        return kind(folder, device, threads)


def _installed_runtimes() -> list[str]:
    return [name for name in ("onnxruntime", "onnxruntime-gpu") if any(distributions(name=name))]
