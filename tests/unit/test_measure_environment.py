"""Where figures come from."""

from __future__ import annotations

import json
import subprocess
import sys

from autocompress.measure.environment import environment
from autocompress.records import Environment

PROGRAM = """
import json, sys
from autocompress.measure import certify, environment, latency, memory, memory_probe, nvml, outcomes, quality
told = environment.environment("cuda", 2).model_dump_json()
heavy = sorted({"torch", "transformers", "onnxruntime", "onnx", "scipy", "optuna"} & set(sys.modules))
print(json.dumps([told, heavy]))
"""


def test_the_machine_and_the_versions_are_told() -> None:
    told = environment("cpu", 1)
    assert told.machine
    assert told.cores >= 1
    assert told.libraries["numpy"]
    assert told.driver is None
    assert told.load_average is not None


def test_measuring_imports_nothing_heavy_until_it_measures() -> None:
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    told, heavy = json.loads(answer)
    assert heavy == []
    assert Environment.model_validate_json(told).libraries["torch"]
