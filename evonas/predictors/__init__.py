"""Predictors: one a file."""
