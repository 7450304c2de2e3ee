"""Training supernets: one method a file."""
