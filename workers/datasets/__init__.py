"""Where data comes from: functions that an experiment names under `data: {use: ...}`, each returning a Dataset."""

from evonas.workers.datasets.digits_set import digits
from evonas.workers.datasets.fashion import fashion_mnist
from evonas.workers.datasets.npz import arrays
from evonas.workers.datasets.torchvision_sets import torchvision

__all__ = ["arrays", "digits", "fashion_mnist", "torchvision"]
