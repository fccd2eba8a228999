"""A task file of the user's whose model misbehaves as the path of the model says; see test_launcher.py."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

METRIC = "agreement"


def load_model(path):
    """A linear layer, unless the path's name asks for trouble; the file at the path takes the process ids."""
    trouble = Path(path).name
    if trouble == "talks":
        print("a library says hello", flush=True)
    elif trouble == "hangs":
        print("about to hang", flush=True)
        grandchild = subprocess.Popen(["sleep", "600"])
        Path(path).write_text(f"{os.getpid()} {grandchild.pid}")
        time.sleep(600)
    elif trouble == "killed":
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    elif trouble == "eats":
        return torch.nn.Linear(30_000, 30_000)
    elif trouble == "eats numpy":
        np.ones(10**10)
    elif trouble == "raises":
        raise LookupError("no such\nlayer")
    elif trouble == "exits":
        sys.exit(7)
    torch.manual_seed(0)
    return torch.nn.Linear(4, 2)


def load_data():
    """Forty random inputs, and the class that the model gives them."""
    random = np.random.default_rng(0)
    return [({"input": random.normal(size=(1, 4)).astype(np.float32)}, int(n % 2)) for n in range(40)]


def score(logits, label):
    """Whether the larger logit is that of the label."""
    return bool(logits.argmax() == label)
