"""Expected hypervolume satisfies the contract."""

from __future__ import annotations

from strategy_contract import StrategyContract

from evonas.component import Component

LINEAR = {"use": "toy_predictor:Linear"}


class TestExpectedHypervolume(StrategyContract):
    component = Component(
        "evonas.strategies.expected_hypervolume:ExpectedHypervolume",
        {"predictor": LINEAR, "initial": 10, "batch": 9, "lag": 4, "predictions": 200},
    )


class TestExpectedHypervolumeWithoutLag(StrategyContract):
    component = Component(
        "evonas.strategies.expected_hypervolume:ExpectedHypervolume",
        {"predictor": LINEAR, "initial": 10, "batch": 9, "lag": 0, "predictions": 200},
    )
