"""Search strategies: one algorithm a file, each a subclass of evonas.strategies.base.Strategy."""
