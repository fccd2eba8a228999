"""How far a student is from its teacher: pure functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_SQUARE = 1e-12


def soft_targets(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the softened classes from the teacher's, in nats, times the temperature's square.

    Logits of shape (…, n_classes); the mean over all positions. The square keeps the gradients' size whatever the
    temperature.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 2.
    """
    from torch.nn.functional import kl_div

    mine = (student.float() / temperature).log_softmax(dim=-1).flatten(0, -2)
    theirs = (teacher.float() / temperature).log_softmax(dim=-1).flatten(0, -2)
    return kl_div(mine, theirs, reduction="batchmean", log_target=True) * temperature**2


def relative_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference as a share of the teacher's mean square: 0 for equal tensors, 1 for a student of zeros.

    Source: the hints of Romero et al. 2015, FitNets, arXiv:1412.6550, section 2.2, made independent of the scale.
    """
    difference = (student.float() - teacher.float()).square().mean()
    return difference / teacher.float().square().mean().clamp(min=SMALLEST_SQUARE)


def attention_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence of attention maps from the teacher's, in nats, the mean over all queries.

    Maps of shape (batch, heads, queries, keys), rows summing to 1. Where the numbers of heads differ, their means are
    compared.

    Source: Jiao et al. 2020, TinyBERT, arXiv:1909.10351, equation 7, between probabilities as in Wang et al. 2020,
    MiniLM, arXiv:2002.10957, equation 3.
    """
    from torch.special import xlogy

    if student.shape[1] != teacher.shape[1]:
        student, teacher = student.mean(dim=1), teacher.mean(dim=1)
    mine, theirs = student.float().clamp(min=SMALLEST_SQUARE), teacher.float()
    divergence: Tensor = (xlogy(theirs, theirs) - theirs * mine.log()).sum(dim=-1)
    return divergence.mean()
