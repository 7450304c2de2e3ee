"""Multi-objective evolutionary neural-architecture search that survives, resumes and shows its work."""

__version__ = "0.3.0"
