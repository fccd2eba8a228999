"""A problem of one's own that is tried in a second, and that misbehaves when a file in ``$TROUBLE`` asks for it.

- ``hold``: the first trial that scores anything waits until ``held`` is gone, which it writes its process id to.
- ``hog``: the first trial that scores anything asks for 80 GB.
- ``nan``: a weight is no number.
"""

import os
import time
from pathlib import Path

import numpy as np
import torch

METRIC = "agreement"

TROUBLE = Path(os.environ["TROUBLE"])
N_INPUTS, N_CLASSES, N_SAMPLES = 128, 4, 300


def load_model(path):
    """A network of two hidden layers with random weights."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(N_INPUTS, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(512, N_CLASSES))
    if (TROUBLE / "nan").exists():
        model[0].weight.data[0, 0] = float("nan")
    return model


def load_data():
    """Random inputs, and the class that the trained network gives each."""
    inputs = np.random.default_rng(0).normal(size=(N_SAMPLES, 1, N_INPUTS)).astype(np.float32)
    with torch.inference_mode():
        classes = load_model("")(torch.from_numpy(inputs)).argmax(-1)
    return [({"input": one}, int(label)) for one, label in zip(inputs, classes, strict=True)]


def score(logits, label):
    """Whether the most likely class is the right one."""
    if _asked_for("hold", "held"):
        (TROUBLE / "held").write_text(str(os.getpid()))
        while (TROUBLE / "held").exists():
            time.sleep(0.02)
    if _asked_for("hog", "hogged"):
        np.ones(10**10)
    return bool(logits.argmax() == label)


def _asked_for(name, answer):
    """Whether this process is the first that is asked for it."""
    try:
        (TROUBLE / name).rename(TROUBLE / answer)
    except FileNotFoundError:
        return False
    return True
