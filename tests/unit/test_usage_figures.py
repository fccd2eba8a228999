"""Libraries that send usage figures to their makers are told not to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SESSION = """
import autocompress, onnxruntime
from onnx import TensorProto, helper
nodes = [helper.make_node("Identity", ["x"], ["y"])]
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph(nodes, "graph", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
onnxruntime.InferenceSession(model.SerializeToString())
"""
SWITCHES = {"ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI"}
"""What keeps ONNX Runtime from gathering any."""


def test_onnx_runtime_keeps_no_usage_figures_to_send(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", SESSION], check=True, env=kept | home)
    assert not [str(path) for path in tmp_path.rglob("*")]


def test_whoever_says_otherwise_is_heeded() -> None:
    script = "import os, autocompress; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['NNCF_CI'])"
    environment = {name: value for name, value in os.environ.items() if name != "NNCF_CI"}
    told = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        env=environment | {"ORT_DISABLE_TELEMETRY": "0"},
        capture_output=True,
        text=True,
    )
    assert told.stdout == "0 1\n"
