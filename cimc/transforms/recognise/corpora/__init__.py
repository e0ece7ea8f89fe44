"""Search of a corpus: products with a constant matrix of items, of which the best are kept."""
