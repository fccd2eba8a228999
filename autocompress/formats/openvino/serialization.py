"""A graph into its two files: equal graphs give equal bytes, and nothing stands in them that only debuggers read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openvino as ov

from autocompress.errors import ModelError

RUNTIME_OPTIONS = "runtime_options"
"""Where OpenVINO keeps what a graph asks of its runtime."""
_BETWEEN_TAGS = re.compile(rb">\s+<")


def save(model: Any, path: Path, options: Mapping[str, str]) -> None:
    """Write ``path`` (.xml) and the weights beside it (.bin); ``options`` are properties to compile it with."""
    _name_by_order(model)
    for section in list(model.get_rt_info().keys()):
        del model.get_rt_info()[section]
    for name, value in options.items():
        model.set_rt_info(value, [RUNTIME_OPTIONS, name])
    ov.serialize(model, path, path.with_suffix(".bin"))
    path.write_bytes(_BETWEEN_TAGS.sub(b"><", path.read_bytes()))


def option(model: Any, name: str) -> str:
    """A property that `save` wrote.

    Raises:
        ModelError: the graph was not written by `save`.
    """
    if not model.has_rt_info([RUNTIME_OPTIONS, name]):
        raise ModelError(f"the graph does not say its {name}", remedy="Export the model with autocompress.")
    return str(model.get_rt_info([RUNTIME_OPTIONS, name]).astype(str))


def _name_by_order(model: Any) -> None:
    """Names count nodes of the whole process, so that a second export has others."""
    outputs = [(output, output.get_any_name()) for output in model.outputs]
    for index, node in enumerate(model.get_ordered_ops()):
        info = node.get_rt_info()
        for key in list(info.keys()):
            del info[key]
        if node.get_type_name() == "Parameter":
            continue
        node.set_friendly_name(str(index))
        for output in node.outputs():
            output.get_tensor().set_names(set())
    for output, name in outputs:
        output.get_tensor().set_names({name})
