"""The alpha-divergence: its value, its limits and its gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from torch import Tensor
from torch.nn import functional

from evonas.workers.supernets.alpha_divergence import alpha_divergence

P = np.array([[0.7, 0.2, 0.1], [0.05, 0.05, 0.9]])
Q = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]])


def of(alpha: float, clip: float = math.inf) -> np.ndarray:
    return alpha_divergence(logits(Q), logits(P), alpha, clip).numpy()


def logits(probabilities: np.ndarray) -> Tensor:
    return torch.from_numpy(np.log(probabilities)) + 3.0  # logits of any level


@pytest.mark.parametrize("alpha", [-2.0, -1.0, -0.3, 0.5, 2.0])
def test_its_value_is_that_of_the_formula(alpha: float) -> None:
    expected = [
        sum(q * ((p / q) ** alpha - 1) for p, q in zip(*row, strict=True)) / (alpha * (alpha - 1))
        for row in zip(P, Q, strict=True)
    ]
    assert of(alpha) == pytest.approx(np.array(expected), rel=1e-12)


def test_it_is_the_kullback_leibler_divergence_at_one_and_the_reverse_at_zero_and_continuous_there() -> None:
    forward, reverse = (P * np.log(P / Q)).sum(axis=1), (Q * np.log(Q / P)).sum(axis=1)
    assert of(1.0) == pytest.approx(forward, rel=1e-12)
    assert of(0.0) == pytest.approx(reverse, rel=1e-12)
    for beside in (-0.002, 0.002):
        assert of(1 + beside) == pytest.approx(forward, rel=0.01)
        assert of(beside) == pytest.approx(reverse, rel=0.01)


def test_half_is_four_times_the_squared_hellinger_distance() -> None:
    assert of(0.5) == pytest.approx(2 * ((np.sqrt(P) - np.sqrt(Q)) ** 2).sum(axis=1), rel=1e-12)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_its_gradient_is_that_of_its_value_where_nothing_is_clipped(alpha: float) -> None:
    student = logits(Q).requires_grad_()
    (gradient,) = torch.autograd.grad(alpha_divergence(student, logits(P), alpha).sum(), student)
    step = 1e-6
    for row, column in np.ndindex(Q.shape):
        moved = [logits(Q), logits(Q)]
        moved[0][row, column] += step
        moved[1][row, column] -= step
        up, down = (alpha_divergence(m, logits(P), alpha).sum().item() for m in moved)
        assert gradient[row, column].item() == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-9)


def test_the_gradient_at_one_is_that_of_soft_labels() -> None:
    student = logits(Q).requires_grad_()
    (gradient,) = torch.autograd.grad(alpha_divergence(student, logits(P), 1.0).sum(), student)
    soft = functional.cross_entropy(student, torch.from_numpy(P), reduction="sum")
    assert torch.allclose(gradient, torch.autograd.grad(soft, student)[0], rtol=1e-9)


def test_clipped_weights_bound_value_and_gradient_however_far_the_student_is_from_the_teacher() -> None:
    student, teacher = torch.tensor([[40.0, -40.0]], requires_grad=True), torch.tensor([[-200.0, 200.0]])
    loss = alpha_divergence(student, teacher, -1.0, clip=5.0)
    assert loss.item() == pytest.approx((5 - 1) / 2)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    assert gradient.isfinite().all()
    assert gradient.abs().max() <= 5.0


def test_a_weight_below_the_clip_is_as_it_was() -> None:
    assert (of(-1.0, clip=12.1) == of(-1.0)).all()  # the largest ratio of q and p is 12
    assert of(-1.0, clip=11.9)[0] == of(-1.0)[0]
    assert of(-1.0, clip=11.9)[1] < of(-1.0)[1]


def test_the_teacher_has_no_gradient() -> None:
    teacher = logits(P).requires_grad_()
    assert not alpha_divergence(logits(Q), teacher, 0.5).requires_grad
