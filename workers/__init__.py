"""What evaluates candidates: pools of workers, evaluators, training and data."""

if __name__ != "evonas.workers":  # a second copy of a class would break isinstance and pickle
    raise ImportError(f"import evonas.workers, not {__name__}: this folder is reached through the package evonas")
