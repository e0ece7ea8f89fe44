"""A name becomes a pipeline."""
