"""Reports: plots and tables made from a finished or running search."""
