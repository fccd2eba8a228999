"""What is known of a model whose weights are not read: its shapes, the work of a call, and how fast the machine is."""

from __future__ import annotations

import json
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.facts import ModelFacts
from autocompress.hub import hub_reachable, is_hub_id
from autocompress.jobs import FactsAnswer, FactsJob, MachineSpeed
from autocompress.model_state import facts_of
from autocompress.tasks.model_folder import model_folder, read_settings

if TYPE_CHECKING:
    from torch import nn

    from autocompress.spec import ModelSpec
    from autocompress.tasks.base import Task

N_TOKENS = {"text-classification": 32, "language-modelling": 64}
"""Of a text whose call is foretold, by task."""
N_WRITTEN = 8
"""Tokens that a call writes, where models write."""
AUDIO_SAMPLES = 2 * 16_000
TORCH_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types as safetensors names them, and as torch does."""
LARGEST_HEADER = 100_000_000
MATRIX_SIZE, N_READ = 768, 16_000_000
N_TRIES = 5


def look_without_weights(job: FactsJob, task: Task) -> FactsAnswer:
    """Shapes from the configuration alone; a model of a task file is built by its own code."""
    import torch

    if task.name == "own":
        module = task.load_model(job.model)
    else:
        with torch.device("meta"):
            module = task.rebuild(job.model, {})
        dtype = stored_dtype(job.model)
        if dtype is not None:
            module = module.to(getattr(torch, dtype))
    facts = facts_of(module, task.name)
    return FactsAnswer(facts=facts, call_flops=call_flops(module, job.model, facts), speed=machine_speed(job.threads))


def stored_dtype(model: ModelSpec) -> str | None:
    """The type that most stored values have, by the headers of the weights; None where no header can be read.

    Of a hub's model that isn't here, only the headers are fetched.
    """
    files = sorted(model_folder(model).glob("*.safetensors"))
    counts: Counter[str] = Counter()
    for file in files:
        counts.update(_values_by_type(_header(file)))
    if not files and is_hub_id(model.path) and hub_reachable():
        from huggingface_hub import get_safetensors_metadata
        from huggingface_hub.errors import HfHubHTTPError, NotASafetensorsRepoError

        try:
            counts.update(get_safetensors_metadata(model.path, revision=model.revision).parameter_count)
        except (HfHubHTTPError, NotASafetensorsRepoError, OSError):
            return None
    known = {name: count for name, count in counts.items() if name in TORCH_DTYPES}
    return TORCH_DTYPES[max(known, key=lambda name: known[name])] if known else None


def _header(file: Path) -> dict[str, Any]:
    """The header of a safetensors file; empty where it is none."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8).ljust(8, b"\0"))
        text = opened.read(length) if length <= LARGEST_HEADER else b""
    try:
        header = json.loads(text)
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def _values_by_type(header: Mapping[str, Any]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            counts[entry["dtype"]] += last - first
    return counts


def call_flops(module: nn.Module, model: ModelSpec, facts: ModelFacts) -> float | None:
    """Floating-point operations of one call, counted on tensors without values; None where it cannot be made so.

    The module, on any device, loses its values.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    inputs = _inputs(module, model, facts.task)
    if inputs is None:
        return None
    try:
        with torch.inference_mode(), torch.device("meta"), FlopCounterMode(display=False) as counter:
            module.to("meta").float()(**inputs)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, AttributeError):
        return None
    written = 2.0 * facts.n_parameters * N_WRITTEN if facts.decodes else 0.0
    return float(counter.get_total_flops()) + written


def _inputs(module: Any, model: ModelSpec, task: str) -> dict[str, Any] | None:
    import torch

    def whole(*shape: int) -> Any:
        return torch.ones(shape, dtype=torch.int64, device="meta")

    def floats(*shape: int) -> Any:
        return torch.zeros(shape, device="meta")

    config: Any = getattr(module, "config", None)
    if task in N_TOKENS:
        return {"input_ids": whole(1, N_TOKENS[task])}
    if task == "image-classification":
        size = getattr(config, "image_size", None) or _image_size(read_settings(model, "preprocessor_config.json"))
        return {"pixel_values": floats(1, getattr(config, "num_channels", 3), size, size)}
    if task == "speech-ctc":
        return {"input_values": floats(1, AUDIO_SAMPLES)}
    if task == "speech-seq2seq" and hasattr(config, "num_mel_bins"):
        features = floats(1, config.num_mel_bins, 2 * config.max_source_positions)
        return {"input_features": features, "decoder_input_ids": whole(1, 1)}
    return None


def _image_size(settings: Mapping[str, Any]) -> int:
    size = settings.get("size", 224)
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge") or 224
    return int(size)


def machine_speed(threads: int) -> MachineSpeed:
    """A product of matrices and a sum of many values, the quickest of a few: a tenth of a second."""
    import torch

    torch.set_num_threads(threads)
    matrix = torch.ones(MATRIX_SIZE, MATRIX_SIZE)
    values = torch.ones(N_READ)
    product = _quickest(lambda: matrix @ matrix)
    reading = _quickest(values.sum)
    return MachineSpeed(flops=2.0 * MATRIX_SIZE**3 / product, bytes_read=values.nbytes / reading)


def _quickest(work: Callable[[], object]) -> float:
    """Seconds."""
    seconds = []
    for _ in range(N_TRIES):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
