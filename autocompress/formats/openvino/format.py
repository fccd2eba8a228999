"""The OpenVINO format: what it refuses, how a model becomes files, how the files are loaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.formats.base import Format, Runner, Unavailable
from autocompress.formats.openvino.size import foreseen_size
from autocompress.recipe import Phase, Step, steps_from_plain

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, StepContext
    from autocompress.facts import ModelFacts
    from autocompress.formats.foresight import FileSize
    from autocompress.outline import Outline
    from autocompress.spec import ModelSpec

NEEDED = ("openvino", "nncf", "onnx", "optimum")
KNOWN_GOOD: tuple[tuple[Any, ...], ...] = (
    ("int8_static",),
    ("int8_weight_only",),
    ({"rtn": {"bits": 4, "group_size": 64}},),
)
CPU_FLAGS = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
INTEGER_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8"}


class OpenVinoFormat(Format):
    """OpenVINO graphs (``.xml`` and ``.bin``) run by OpenVINO's CPU plug-in."""

    name = "openvino"
    summary = "OpenVINO graphs with packed weights, run by OpenVINO's CPU plug-in"
    imports = ("openvino", "safetensors.numpy")

    def unavailable(self, device: str) -> Unavailable | None:
        """See `Format.unavailable`."""
        if device == "cuda":
            return Unavailable(reason="OpenVINO does not run on NVIDIA's devices")
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            reason = f"not installed: {', '.join(missing)}"
            return Unavailable(reason=reason, install="pip install 'autocompress[openvino]'")
        return None

    def refuses(self, steps: tuple[Step, ...], facts: ModelFacts, device: str) -> str | None:
        """See `Format.refuses`."""
        by_tag = {step.tag: step for step in steps}
        if device == "cuda":
            return "OpenVINO does not run on NVIDIA's devices"
        if "bf16" in by_tag and not cpu_flags() & BFLOAT16_FLAGS:
            return "this processor does not compute in bfloat16"
        of_parts = any(step.phase is Phase.COMPUTE and getattr(step, "part", "model") != "model" for step in steps)
        if of_parts and facts.task != "speech-seq2seq":
            return "a model of this task is one graph, so no part of it can be half by itself"
        if "int8_dynamic" in by_tag and not cpu_flags() & INTEGER_FLAGS:
            return "OpenVINO quantizes activations at run time only on processors with VNNI"
        if "heads" in by_tag and facts.decodes and not facts.heads_in_config:
            return "a decoder is exported with as many heads in its cache as its configuration says, which heads leaves"
        static = by_tag.get("int8_static")
        if static is None:
            return None
        coded = [step.tag for step in steps if step.phase in (Phase.CLUSTER, Phase.QUANTIZE)]
        if coded:
            return f"int8_static stores its own integers, which would undo the codes of {coded[0]}"
        if getattr(static, "calibration", "") == "entropy":
            return "NNCF has no calibration by entropy; use minmax or percentile"
        if facts.task == "speech-seq2seq":
            return "static int8 of an encoder-decoder would need calibrated decoding; use int8_dynamic"
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
        from autocompress.formats.openvino.export import export

        return export(model, folder, context)

    def load(self, folder: Path, device: str, threads: int, model: ModelSpec | None = None) -> Runner:
        """See `Format.load`."""
        del device, model  # the CPU is all there is, and a graph holds all that it computes
        from autocompress.formats.openvino.runner import load

        return load(folder, threads)


def cpu_flags() -> set[str]:
    """What the processor says it can do; nothing where the system does not tell."""
    try:
        lines = CPU_FLAGS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
