"""NASWOT: how many linear regions a network tells the inputs of a batch apart with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from evonas.workers.proxies.passes import forward, hooked

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish)
"""Activations whose units are off below an input of 0."""


def naswot(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the log-determinant of the kernel of activation codes: in how many units two inputs agree to be on or off.

    Neural Architecture Search without Training (Mellor et al., ICML 2021; arXiv 2006.04647v3), in training mode as in
    the published code. -inf where the determinant is 0, as where two inputs have the same code. Deviations: units count
    that never reach the output (networks of canonical genomes have none), and those of smooth rectifiers do too, by the
    sign of their input.
    """
    kernel = np.zeros((len(inputs), len(inputs)))

    def count(layer: nn.Module, given: Tensor, output: Tensor) -> None:
        on = (output > 0).flatten(1).float()  # an input that is overwritten in place has the output's sign
        both, each = (on @ on.T).double(), on.sum(dim=1).double()
        kernel[:] += (2 * both - each[:, None] - each + on.shape[1]).cpu().numpy()

    with torch.no_grad(), hooked(network, RECTIFIERS, count):
        forward(network, inputs)
    values = np.linalg.eigvalsh(kernel)
    if values[0] <= len(values) * np.finfo(float).eps * values[-1]:
        return float("-inf")
    return max(0.0, float(np.log(values).sum()))  # a determinant of whole numbers, apart from rounding
