"""Passes from the imported model to a program, and the pipelines made of them."""
