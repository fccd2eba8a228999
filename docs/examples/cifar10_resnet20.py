"""A model of your own: ResNet-20 on CIFAR-10, a plain ``torch.nn.Module`` in a Python file beside its weights.

autocompress search --task-file docs/examples/cifar10_resnet20.py --model $AUTOCOMPRESS_ASSETS/models/cifar10-resnet20
"""

import importlib.util
import os
from pathlib import Path

import numpy as np

METRIC = "accuracy"
HIGHER_IS_BETTER = True

ASSETS = Path(os.environ["AUTOCOMPRESS_ASSETS"])
N_IMAGES = 1500


def resnet20(folder):
    """The module `resnet20.py`, which lies beside the weights."""
    found = importlib.util.spec_from_file_location("resnet20", Path(folder) / "resnet20.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def load_model(path):
    """The trained network."""
    return resnet20(path).load(path)


def load_data():
    """The first test images, one at a time, and their classes."""
    stored = np.load(ASSETS / "data/cifar10/cifar10_subset.npz")
    images = resnet20(ASSETS / "models/cifar10-resnet20").preprocess(stored["test_images"][:N_IMAGES]).numpy()
    return [({"x": image[None]}, label) for image, label in zip(images, stored["test_labels"], strict=False)]


def score(logits, label):
    """Whether the most likely class is the right one."""
    return logits.argmax() == label
