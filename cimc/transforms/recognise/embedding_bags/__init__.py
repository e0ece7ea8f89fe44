"""Embedding bags in the forms that exporters write."""
