"""Single paths: each step trains one subnet, uniform over the options."""

from __future__ import annotations

from method_contract import MethodContract
from one_thread import one_thread  # noqa: F401

from evonas.space import SearchSpace
from evonas.workers.supernets.method import Method
from evonas.workers.supernets.single_path import SinglePath


class TestSinglePath(MethodContract):
    epochs = 2

    def method(self, space: SearchSpace, seed: int) -> Method:
        return SinglePath(space, seed)
