"""Trackers: what watches a search and shows it to a person or a server."""
