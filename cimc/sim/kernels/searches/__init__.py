"""Sums of corpora with queries, and the best items of many requests."""
