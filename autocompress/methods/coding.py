"""What the methods share that store weights as codes: integers in groups, or indices into a codebook."""

from __future__ import annotations

from collections.abc import Sequence

from autocompress.compressible import CompressibleModel, Weight
from autocompress.encodings import (
    Codebook,
    CodebookForm,
    DenseForm,
    Form,
    GroupedIntegers,
    IntegersForm,
    Sparse,
    SparseForm,
    form_bytes,
    packed_zeros,
)
from autocompress.facts import ModelFacts, WeightScope
from autocompress.outline import WeightGroup
from autocompress.recipe import Phase, Step


class WeightCoding(Step):
    """A step that stores the weights of its ``scope`` as codes, those that an earlier step has coded excepted.

    So clusters in the attention and integers elsewhere make one recipe.
    """

    scope: WeightScope

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        return None if facts.in_scope(self.scope) else f"the model has no weights in the scope {self.scope!r}"

    def refuses_after(self, earlier: Sequence[Step], facts: ModelFacts) -> str | None:
        """See `Step.refuses_after`."""
        coding = [step for step in earlier if isinstance(step, WeightCoding) and step.phase is Phase.CLUSTER]
        taken = {weight.name for step in coding for weight in facts.in_scope(step.scope)}
        if taken and all(weight.name in taken for weight in facts.in_scope(self.scope)):
            return f"{coding[-1].tag} has stored every weight of the scope {self.scope!r} as codes already"
        return None

    def uncoded(self, model: CompressibleModel) -> list[Weight]:
        """The weights of the scope that no earlier step stores as codes."""
        return [weight for weight in model.in_scope(self.scope) if not _is_coded(model, weight)]


def encode_integers(model: CompressibleModel, weight: Weight, integers: GroupedIntegers) -> None:
    """Store a weight as integers; what an earlier step pruned stays exactly zero, packed where that is smaller."""
    pruned = model.encodings.get(weight.name)
    model.encode(weight, packed_zeros(integers, pruned.mask) if isinstance(pruned, Sparse) else integers)


def integers_form(group: WeightGroup, integers: IntegersForm) -> Form:
    """The form that `encode_integers` will give to weights, which stay as they are where they are clusters."""
    form = group.form
    if isinstance(form, CodebookForm) or (isinstance(form, SparseForm) and not isinstance(form.values, DenseForm)):
        return form
    if not isinstance(form, SparseForm):
        return integers
    packed = SparseForm(form.shape, form.n_kept, integers)
    return packed if form_bytes(packed) < form_bytes(integers) else integers


def _is_coded(model: CompressibleModel, weight: Weight) -> bool:
    encoding = model.encodings.get(weight.name)
    return isinstance(encoding.values if isinstance(encoding, Sparse) else encoding, Codebook)
