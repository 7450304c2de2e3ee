"""EPE-NAS: how differently a network responds to different inputs of one class."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from evonas.workers.proxies.passes import correlations, input_gradients

_K, _MANY_CLASSES = 1e-5, 100


def epe_nas(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over classes of |sum of log(|correlation| + k)| between the input gradients of the class.

    EPE-NAS (Lopes et al., ICANN 2021): gradients as in `jacob_cov`, k is 1e-5. With more than 100 classes in the batch
    the sum of a class is divided by its examples, and the mean difference between classes counts, as in the published
    code, which asks for the classes of the data. NaN where the logits do not depend on an input.
    """
    rows, classes = input_gradients(network, inputs), labels.cpu().numpy()
    groups = [correlations(rows[classes == one]) for one in np.unique(classes)]
    if not all(np.isfinite(group).all() for group in groups):
        return float("nan")
    sums = np.array([np.log(np.abs(group) + _K).sum() for group in groups])
    if len(groups) <= _MANY_CLASSES:
        return float(np.abs(sums).sum())
    means = sums / [len(group) for group in groups]
    return float(np.abs(means[:, None] - means).sum() / len(groups))
