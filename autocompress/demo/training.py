"""Training of the demo's model; run as ``python -m autocompress.demo.training FOLDER``, a process of its own.

Prints ``<epochs done> <all epochs>`` after each epoch and leaves ``model/`` and ``digits.npz`` in the folder.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor, nn

SEED = 0
N_EPOCHS = 10
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
INITIAL_DEVIATION = 0.05
N_THREADS = 1
N_TRAINING_IMAGES = 1000
GREY_LEVELS = 16
"""The digits are 8 × 8 counts from 0 to 16."""


def write_digits(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Scikit-learn's 1,797 digits, shuffled, as uint8 images of 8 × 8 and labels: a train and a test part."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    images = (digits.images[order] * (255 / GREY_LEVELS)).astype(np.uint8)
    labels = digits.target[order].astype(np.int64)
    arrays = {
        "train_images": images[:N_TRAINING_IMAGES],
        "train_labels": labels[:N_TRAINING_IMAGES],
        "test_images": images[N_TRAINING_IMAGES:],
        "test_labels": labels[N_TRAINING_IMAGES:],
    }
    np.savez_compressed(file, **arrays)
    return arrays


def new_model() -> nn.Module:
    """A vision transformer of 0.8 million weights, with random weights."""
    import transformers

    names = [str(digit) for digit in range(10)]
    model: nn.Module = transformers.ViTForImageClassification(
        transformers.ViTConfig(
            image_size=8,
            patch_size=2,
            num_channels=3,
            hidden_size=128,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=512,
            initializer_range=INITIAL_DEVIATION,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            id2label=dict(enumerate(names)),
            label2id={name: number for number, name in enumerate(names)},
        )
    )
    return model


def pixels(images: npt.NDArray[Any]) -> Tensor:
    """Images of shape (n, 8, 8) as the model's input, shape (n, 3, 8, 8), -1 to 1."""
    import torch

    grey = torch.from_numpy(images).float() / 127.5 - 1
    return grey[:, None].expand(-1, 3, -1, -1)


def train(model: nn.Module, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
    """AdamW, one learning-rate cycle; tells each epoch on stdout."""
    import torch

    inputs, targets = pixels(images), torch.from_numpy(labels)
    n_batches = len(labels) // BATCH_SIZE
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=N_EPOCHS * n_batches)
    model.train()
    for epoch in range(1, N_EPOCHS + 1):
        order = torch.randperm(len(targets))
        for batch in torch.split(order[: n_batches * BATCH_SIZE], BATCH_SIZE):
            loss = model(pixel_values=inputs[batch], labels=targets[batch]).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        sys.stdout.write(f"{epoch} {N_EPOCHS}\n")
        sys.stdout.flush()
    model.eval()


def main(folder: Path) -> None:
    """Train the model and save it, its image processor's settings and the data."""
    import json

    import torch

    torch.manual_seed(SEED)
    torch.set_num_threads(N_THREADS)
    digits = write_digits(folder / "digits.npz")
    model = new_model()
    train(model, digits["train_images"], digits["train_labels"])
    model.save_pretrained(folder / "model")  # type: ignore[operator]
    settings = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"height": 8, "width": 8},
    }
    (folder / "model" / "preprocessor_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
