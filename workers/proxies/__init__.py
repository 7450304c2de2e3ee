"""Scores of untrained networks: one zero-cost proxy a file, a function of network, inputs and labels."""
