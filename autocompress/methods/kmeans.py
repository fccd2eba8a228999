"""Weight sharing by one-dimensional k-means: a weight is stored as the index of a centroid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from autocompress.clustering import CentroidBits, Clusters, cluster
from autocompress.compressible import CompressibleModel, StepContext, Weight
from autocompress.encodings import Codebook, CodebookForm, Encoding, Form, IntegersForm, Sparse, SparseForm
from autocompress.encodings.forms import FLOAT32_BYTES
from autocompress.errors import Unsupported
from autocompress.facts import ModelFacts, WeightScope
from autocompress.methods.coding import WeightCoding
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Choice, Phase, When

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_FLOAT16 = 65504


class KMeans(WeightCoding, tag="kmeans"):
    """Cluster the values of each weight into ``n_centroids`` and store packed indices and the codebook.

    A weight takes ``log2(n_centroids)`` bits, and its codebook ``codebook_bits`` a centroid; at 8 these are integers
    with one scale, so that every weight is an integer times its codebook's scale. With ``granularity`` ``group`` each
    run of ``rows_per_group`` output channels has a codebook of its own. Of a pruned weight only the kept values are
    clustered (a group is then as many of them as so many rows hold on average), so zeros stay zeros at one bit each.
    ``scope`` is the projections of ``attention`` blocks, all linear and convolution ``layers``, or ``all`` weights,
    embeddings included (half of a small text model).

    Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3; the optimal clustering is Wang & Song 2011,
    Ckmeans.1d.dp, The R Journal 3/2, on a histogram.
    """

    phase = Phase.CLUSTER
    summary = "Cluster each weight's values and store packed indices into a codebook"

    n_centroids: Annotated[int, Field(ge=2, le=256), Choice(4, 8, 16, 32, 64, 256)] = 16
    scope: Annotated[WeightScope, Choice("attention", "layers", "all")] = "all"
    granularity: Annotated[Literal["tensor", "group"], Choice("tensor", "group")] = "tensor"
    rows_per_group: Annotated[int, Field(ge=1, le=65536), Choice(8, 32), When("granularity", "group")] = 32
    codebook_bits: Annotated[CentroidBits, Choice(8, 32)] = 32

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if all(weight.n_elements <= self.n_centroids for weight in facts.in_scope(self.scope)):
            return super().refuses(facts) or f"no weight has more than {self.n_centroids} elements"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        return outline.coded(self.scope, self._form)

    def _form(self, group: WeightGroup) -> Form:
        form, rows = group.form, group.fact.out_features
        n_values = form.n_kept if isinstance(form, SparseForm) else group.fact.n_elements
        if n_values <= self.n_centroids or isinstance(form, CodebookForm | IntegersForm):
            return form
        is_whole = self.granularity == "tensor" or self.rows_per_group >= rows
        book = CodebookForm(
            (1, n_values) if isinstance(form, SparseForm) else form.shape,
            self.n_centroids,
            group_size=None if is_whole else -(-n_values * self.rows_per_group // rows),
            centroid_bytes=self.codebook_bits // 8,
            scale_bytes=FLOAT32_BYTES if self.codebook_bits == 8 else 0,
        )
        return replace(form, values=book) if isinstance(form, SparseForm) else book

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace the values of each weight by their centroids and record a `Codebook`, inside a `Sparse` if pruned.

        Weights of no more elements than centroids stay as they are.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
            Unsupported: a weight is beyond the largest value of float16, in which its centroids are to be stored.
        """
        weights = self.uncoded(model)
        for index, weight in enumerate(weights):
            matrix = weight.matrix.to(context.device)
            pruned = model.encodings.get(weight.name)
            mask = _mask(pruned, matrix)
            values = matrix.flatten() if mask is None else matrix[mask]
            if values.numel() > self.n_centroids:
                model.encode(weight, self._encoding(weight, values, pruned))
            context.progress(index + 1, len(weights))

    def _encoding(self, weight: Weight, values: Tensor, pruned: Encoding | None) -> Encoding:
        """Cluster the values, shape (n,), in row order."""
        import torch

        if self.codebook_bits == 16 and float(values.abs().max()) > LARGEST_FLOAT16:
            raise Unsupported(
                f"the weight {weight.name} is beyond the largest value of float16", remedy="Set codebook_bits to 32."
            )
        n_rows, n_columns = weight.fact.out_features, weight.fact.in_features
        is_whole = self.granularity == "tensor" or self.rows_per_group >= n_rows
        group_size = None if is_whole else -(-values.numel() * self.rows_per_group // n_rows)
        shape = (1, values.numel()) if isinstance(pruned, Sparse) else (n_rows, n_columns)
        groups = torch.split(values, group_size or values.numel())
        clusters = [cluster(group, self.n_centroids, self.codebook_bits) for group in groups]
        book = _codebook(clusters, shape, group_size)
        return Sparse(pruned.mask, book) if isinstance(pruned, Sparse) else book


def _codebook(clusters: Sequence[Clusters], shape: tuple[int, int], group_size: int | None) -> Codebook:
    """The clusters of all groups together; a group with fewer centroids repeats its last one."""
    n_centroids = max(len(group.centroids) for group in clusters)
    centroids = [np.pad(group.centroids, (0, n_centroids - len(group.centroids)), "edge") for group in clusters]
    scales = [group.scale for group in clusters if group.scale is not None]
    indices = np.concatenate([group.indices.cpu().numpy() for group in clusters])
    stored: npt.NDArray[Any] | None = np.array(scales, np.float32) if scales else None
    return Codebook(indices.reshape(shape), np.stack(centroids), group_size, stored)


def _mask(encoding: Encoding | None, matrix: Tensor) -> Tensor | None:
    """Which values a pruned weight has kept, on the matrix's device."""
    import torch

    return torch.from_numpy(encoding.mask).to(matrix.device) if isinstance(encoding, Sparse) else None
