"""Corpora on arrays: shards, lists that are merged, and converter steps."""
