"""Untrusted files, opened within limits: structure, external data, generated weights."""
