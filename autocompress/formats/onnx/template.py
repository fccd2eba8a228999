"""A float graph per structure, exported once, and where each weight stands in it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from autocompress.compressible import CompressibleModel, as_numpy
from autocompress.facts import Part
from autocompress.formats.onnx.exporter import OPSET, export_float
from autocompress.formats.onnx.graph_editor import GraphEditor

if TYPE_CHECKING:
    from torch import nn

    from autocompress.compressible import StepContext, Weight

TEMPLATE_VERSION = 2
"""Part of the cache key: count up when the exporter's own graph surgery changes."""
PLACES = "places.json"
MARKER_SCALE = 0.02
PARTS: dict[str, Part] = {"encoder_model.onnx": "encoder", "decoder_model.onnx": "decoder", "model.onnx": "model"}
"""What each graph computes of a model; the encoder's also gives the keys and values of cross-attention."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """Where a weight stands: a graph's initializer, which holds the matrix or its transpose.

    Attributes:
        row_factors: what each row of the matrix is multiplied by, where the exporter folded a batch norm into it.
    """

    graph: str
    initializer: str
    transposed: bool
    row_factors: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Template:
    """A folder of float graphs, the places of the weights by parameter name, and the names that were not found."""

    folder: Path
    places: dict[str, tuple[Place, ...]]
    missing: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> Template:
        """Open what `build` wrote."""
        plain = json.loads((folder / PLACES).read_text(encoding="utf-8"))
        places = {name: tuple(Place(**place) for place in found) for name, found in plain["places"].items()}
        return cls(folder, places, tuple(plain["missing"]))


def float_template(model: CompressibleModel, context: StepContext) -> Template:
    """The template for a model's structure, from the cache or exported now.

    The weights in it are marker values: every trial writes its own over them. What isn't a weight (biases, norms,
    buffers) is part of the key.
    """
    key = context.cache.key("onnx-template", TEMPLATE_VERSION, *_structure(model, context.task))
    folder, _ = context.cache.find_or_build(key, lambda fresh: build(model, context, fresh))
    return Template.read(folder)


def build(model: CompressibleModel, context: StepContext, folder: Path) -> None:
    """Export a copy whose weights hold unmistakable random values, and note where these came to stand."""
    marked = CompressibleModel(_exportable(model.module))
    originals = {weight.name: weight for weight in model.weights()}
    markers = _write_markers(marked, originals.keys())
    export_float(marked.module, folder, context.task, context.example)
    places, missing = find_places(markers, folder)
    if missing:  # derived values stand in the graph: only the true weights give the true derived values
        for weight in marked.weights():
            if weight.name in missing:
                weight.write(originals[weight.name].matrix)
                del markers[weight.name]
        export_float(marked.module, folder, context.task, context.example)
        places, _ = find_places(markers, folder)
    for path in folder.glob("*.onnx"):
        editor = GraphEditor(onnx.load(path))
        editor.share_constants()
        editor.save(path)
    plain = {
        "missing": sorted(missing),
        "places": {name: [asdict(place) for place in found] for name, found in sorted(places.items())},
    }
    (folder / PLACES).write_text(json.dumps(plain), encoding="utf-8")


def find_places(weights: dict[str, Matrix], folder: Path) -> tuple[dict[str, list[Place]], set[str]]:
    """Find matrices among the initializers of a folder's graphs: by their bytes, else up to a factor per row."""
    by_digest: dict[str, list[tuple[str, bool]]] = {}
    for name, matrix in weights.items():
        by_digest.setdefault(_digest(matrix), []).append((name, False))
        if min(matrix.shape) > 1:
            by_digest.setdefault(_digest(matrix.T), []).append((name, True))
    places: dict[str, list[Place]] = {}
    unclaimed: list[tuple[str, str, npt.NDArray[Any]]] = []
    for path in sorted(folder.glob("*.onnx")):
        for tensor in onnx.load(path).graph.initializer:
            if len(tensor.dims) < 2 or tensor.data_type != onnx.TensorProto.FLOAT:
                continue
            values = numpy_helper.to_array(tensor)
            found = by_digest.get(_digest(values), [])
            for name, transposed in found:
                if min(weights[name].shape) == 1:  # a single row has its transpose's bytes
                    transposed = values.ndim == 2 and values.shape != weights[name].shape
                places.setdefault(name, []).append(Place(path.name, tensor.name, transposed))
            if not found:
                unclaimed.append((path.name, tensor.name, values))
    for name in weights.keys() - places.keys():
        for graph, initializer, values in unclaimed:
            factors = _row_factors(weights[name], values)
            if factors is not None:
                places.setdefault(name, []).append(Place(graph, initializer, False, factors))
    return places, set(weights.keys() - places.keys())


def _row_factors(matrix: Matrix, values: npt.NDArray[Any]) -> tuple[float, ...] | None:
    if values.shape[0] != matrix.shape[0] or values.size != matrix.size:
        return None
    rows, folded = matrix.astype(np.float64), values.reshape(matrix.shape).astype(np.float64)
    factors = (rows * folded).sum(axis=1) / (rows * rows).sum(axis=1)
    if not np.allclose(rows * factors[:, None], folded, rtol=1e-4, atol=1e-7):
        return None
    return tuple(factors.tolist())


def _exportable(module: nn.Module) -> nn.Module:
    """A float32 copy on the CPU, without parametrizations (weight norm), whose products are the stored weights."""
    from torch.nn.utils import parametrize

    clone = copy.deepcopy(module).float().cpu().eval()
    for part in clone.modules():
        if parametrize.is_parametrized(part):
            shared = type(part)  # a copy has the original's class, and removing would take the property from both
            part.__class__ = type(shared.__name__, shared.__bases__, dict(shared.__dict__))
            for name in list(part.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(part, name)
    return clone


def _write_markers(model: CompressibleModel, names: Collection[str]) -> dict[str, Matrix]:
    import torch

    generator = torch.Generator().manual_seed(0)
    markers = {}
    for weight in model.weights():
        if weight.name not in names:  # a product of parametrizations: no weight of the model itself
            continue
        fact = weight.fact
        weight.write(torch.randn(fact.out_features, fact.in_features, generator=generator) * MARKER_SCALE)
        markers[weight.name] = matrix_of(weight)
    return markers


def with_part(words: Iterable[str], model: CompressibleModel, graph: str) -> list[str]:
    """Words on what computes the weights of one graph, with the part that it is of where the parts differ."""
    return list(words) if model.half_part == "model" else [f"{PARTS[graph]} in {word}" for word in words]


def matrix_of(weight: Weight) -> Matrix:
    """A weight's values as a contiguous (out_features, in_features) array."""
    return np.ascontiguousarray(as_numpy(weight.matrix))


def _structure(model: CompressibleModel, task: str) -> list[Any]:
    """Plain data that determines the template: shapes of the weights, all other values, configuration, versions."""
    weights = {weight.name: list(weight.parameter.shape) for weight in model.weights()}
    shared = {id(weight.parameter) for weight in model.weights()}
    others = hashlib.sha256()
    for name, tensor in [*model.module.named_parameters(remove_duplicate=False), *model.module.named_buffers()]:
        others.update(name.encode())
        if id(tensor) not in shared:
            others.update(_digest(as_numpy(tensor)).encode())
    config = getattr(model.module, "config", None)
    described = config.to_json_string() if config is not None else repr(model.module)
    libraries = [version(name) for name in ("torch", "onnx", "transformers")]
    return [weights, others.hexdigest(), described, task, OPSET, libraries]


def _digest(array: npt.NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
