"""Matrix-vector products of dense layers, exact and through converters."""
