"""A task file whose model tells what its process sees of the device, or asks for more memory than there is.

The path of the model is a file to write the findings to; named ``hungry``, it asks the device for 10 TB.
"""

import json
import os
from pathlib import Path

import numpy as np
import torch


def load_model(path):
    """A linear layer."""
    if Path(path).name == "hungry":
        torch.empty(10**13, dtype=torch.uint8, device="cuda")
    began = torch.cuda.is_initialized()
    seen = {
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "order": os.environ.get("CUDA_DEVICE_ORDER"),
        "context_before": began,
        "available": torch.cuda.is_available(),
        "sum": torch.ones(3, device="cuda").sum().item() if torch.cuda.is_available() else None,
    }
    Path(path).write_text(json.dumps(seen))
    torch.manual_seed(0)
    return torch.nn.Linear(4, 2)


def load_data():
    """Forty random inputs of two classes."""
    random = np.random.default_rng(0)
    return [({"input": random.normal(size=(1, 4)).astype(np.float32)}, int(n % 2)) for n in range(40)]


def score(logits, label):
    """Whether the larger logit is that of the label."""
    return bool(logits.argmax() == label)
