"""Converters of official benchmark files to tables: one format a file, each of which returns a Converted."""
