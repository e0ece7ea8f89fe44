"""Embedding lookups: rows of tables, read or pooled."""
