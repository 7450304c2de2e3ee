"""Search spaces: one a file, each a subclass of evonas.space.SearchSpace."""

if __name__ != "evonas.spaces":  # a second copy of a class would break isinstance and pickle
    raise ImportError(f"import evonas.spaces, not {__name__}: this folder is reached through the package evonas")
