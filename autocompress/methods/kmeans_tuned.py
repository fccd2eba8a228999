"""Weight sharing whose centroids are trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight, as_numpy
from autocompress.encodings import Codebook, Encoding, Sparse
from autocompress.methods.distilling import Distilling, Student, as_parameter, straight_through
from autocompress.methods.kmeans import KMeans
from autocompress.recipe import Choice
from autocompress.training.loop import TrainedGroup

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_INT8 = 127


class FineTunedKMeans(KMeans, Distilling, tag="kmeans_tuned"):
    """Cluster as `kmeans` does, then train the centroids towards the original's answers and the labels.

    Which weights share a centroid stays as it is: a centroid's gradient is the sum of those of its weights. Centroids
    are rounded to ``codebook_bits`` in every pass, the gradient goes through the rounding as if it weren't there. What
    isn't clustered (biases, norms, weights out of scope) is trained as it is. Embeddings, their centroids included,
    stand still unless ``train_embeddings``. What else the knobs mean, `kmeans` and `distil` say.

    Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3.3.
    """

    summary = "Cluster each weight's values and train the centroids"

    steps: Annotated[int, Field(ge=1, le=1_000_000), Choice(100, 300)] = 100

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Cluster, train, then put the trained centroids into the `Codebook` of each weight.

        Raises:
            Unsupported: there are no training rows, the loss is no longer finite, or see `KMeans.apply`.
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        weights = self.uncoded(model)
        super().apply(model, context)
        trained = [weight for weight in weights if weight.kind != "embedding" or self.train_embeddings]
        student = _SharingStudent(model, trained, self.learning_rate)
        self.teach(model, context, student)
        student.store(model)


class _SharingStudent(Student):
    """Computes with weights looked up from centroids, and trains these."""

    def __init__(self, model: CompressibleModel, weights: Iterable[Weight], learning_rate: float) -> None:
        super().__init__(model)
        self.learning_rate = learning_rate
        encodings = {weight.name: model.encodings[weight.name] for weight in weights if weight.name in model.encodings}
        books = {name: book for name, encoding in encodings.items() if (book := _book_of(encoding)) is not None}
        self.tables = {name: _Table(self.weights[name], encodings[name], book) for name, book in books.items()}

    def groups(self) -> Sequence[TrainedGroup]:
        """See `Student.groups`."""
        tensors: Mapping[str, Tensor] = {f"{name}.centroids": table.centroids for name, table in self.tables.items()}
        return (TrainedGroup(tensors, self.learning_rate),) if tensors else ()

    def values(self, step: int) -> dict[str, Tensor]:
        """See `Student.values`."""
        return super().values(step) | {name: table.values() for name, table in self.tables.items()}

    def store(self, model: CompressibleModel) -> None:
        """See `Student.store`."""
        super().store(model)
        for name, table in self.tables.items():
            model.encode(self.weights[name], table.encoding())


class _Table:
    """The trained codebooks of one weight.

    Attributes:
        centroids: what they stand for, shape (n_groups, n_centroids), float32; trained in place.
        indices: of each weight, in the parameter's shape, into all codebooks end to end and a zero behind them, which
            pruned weights read; int32.
    """

    def __init__(self, weight: Weight, encoding: Encoding, book: Codebook) -> None:
        import torch

        self.before = encoding
        self.book = book
        self.dtype = weight.parameter.dtype
        device = weight.parameter.device
        self.centroids = torch.from_numpy(book.values.copy()).to(device).requires_grad_()
        self.scales = None if book.scales is None else torch.from_numpy(book.scales.copy()).to(device)[:, None]
        matrix = torch.from_numpy(_places(encoding, book)).to(device)
        self.indices = as_parameter(weight, matrix).contiguous()

    def values(self) -> Tensor:
        """The weight, of the centroids as they would be stored now."""
        from torch.nn.functional import pad

        from autocompress.methods.centroid_lookup import looked_up

        rounded = straight_through(self.centroids, self._rounded())
        return looked_up(pad(rounded.reshape(-1), (0, 1)), self.indices).to(self.dtype)

    def encoding(self) -> Encoding:
        """The weight's encoding with the centroids as they are now."""
        stored = self._rounded() if self.scales is None else (self._rounded() / self.scales).round()
        book = replace(self.book, centroids=as_numpy(stored).astype(self.book.centroids.dtype))
        return replace(self.before, values=book) if isinstance(self.before, Sparse) else book

    def _rounded(self) -> Tensor:
        """The nearest values that the codebooks can hold."""
        centroids = self.centroids.detach()
        if self.scales is not None:
            return (centroids / self.scales).round().clamp(-LARGEST_INT8, LARGEST_INT8) * self.scales
        return centroids.half().float() if self.book.centroids.dtype == np.float16 else centroids


def _book_of(encoding: Encoding) -> Codebook | None:
    values = encoding.values if isinstance(encoding, Sparse) else encoding
    return values if isinstance(values, Codebook) else None


def _places(encoding: Encoding, book: Codebook) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """The place of each weight's centroid in all codebooks end to end, shape (out_features, in_features)."""
    n_centroids = book.centroids.shape[1]
    places = book.indices.reshape(-1).astype(np.int32)
    if book.group_size is not None:
        places += np.arange(places.size, dtype=np.int32) // book.group_size * n_centroids
    if not isinstance(encoding, Sparse):
        return places.reshape(encoding.shape)
    whole = np.full(encoding.shape, book.centroids.size, np.int32)
    whole[encoding.mask] = places
    return whole
