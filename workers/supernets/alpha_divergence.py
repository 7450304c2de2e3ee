"""The alpha-divergence between what two networks predict, with gradients that stay bounded (Wang et al., ICML 2021)."""

from __future__ import annotations

import math

from torch import Tensor

_NEAR = 1e-3  # alphas this near to 0 and 1 are these, where the general formula divides by zero


def alpha_divergence(student: Tensor, teacher: Tensor, alpha: float, clip: float = math.inf) -> Tensor:
    """Return the divergence of each example, in nats, from logits of shape (examples, classes).

    With the teacher's probabilities p and the student's q it is sum(q ((p / q) ** alpha - 1)) / (alpha (alpha - 1)): at
    alpha 1 the Kullback-Leibler divergence KL(p, q), at alpha 0 KL(q, p). A positive alpha punishes a student that
    misses what the teacher thinks possible, a negative one a student that thinks possible what the teacher rules out.

    The student's gradient is that of the divergence, -E_q[(p / q) ** alpha * grad log q] / alpha, but the importance
    weight (p / q) ** alpha is at most `clip`, in the value too. As in the paper's code nothing is clipped at alpha 1,
    where the weights' expectation is bounded by itself, and p / q is clipped at alpha 0. The teacher has no gradient.
    """
    log_q = student.log_softmax(dim=1)
    constant_log_q, log_p = log_q.detach(), teacher.detach().log_softmax(dim=1)
    q, log_ratio = constant_log_q.exp(), log_p - constant_log_q
    if abs(alpha - 1) < _NEAR:
        value = pushed = log_p.exp()
        value = value * log_ratio
    elif abs(alpha) < _NEAR:
        log_ratio = log_ratio.clamp(max=math.log(clip))
        value, pushed = -q * log_ratio, q * (log_ratio - 1)
    else:
        weights = (alpha * log_ratio).exp().clamp(max=clip)
        value, pushed = q * (weights - 1) / (alpha * (alpha - 1)), q * weights / alpha
    gradient_only = -(pushed * log_q).sum(dim=1)
    return value.sum(dim=1) + gradient_only - gradient_only.detach()
