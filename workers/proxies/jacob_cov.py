"""jacob_cov: how differently a network responds to different inputs."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from evonas.workers.proxies.passes import correlations, input_gradients

_K = 1e-5


def jacob_cov(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return -sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the correlations between input gradients.

    Neural Architecture Search without Training, first version (Mellor et al., arXiv 2006.04647v1): row i is the
    gradient of the sum of all logits by input i, k is 1e-5. NaN where the logits do not depend on an input. Deviation:
    eigenvalues are those of a symmetric matrix in float64, and none below 0.
    """
    related = correlations(input_gradients(network, inputs))
    if not np.isfinite(related).all():
        return float("nan")
    values = np.maximum(np.linalg.eigvalsh(related), 0.0) + _K
    return -float((np.log(values) + 1.0 / values).sum())
