"""Zero-cost proxies as numbers, without a framework: scores in files, and expressions of statistics of layers."""
