"""What is true of a graph, without changing it: shapes, constants, provenance, scales of rows, accesses."""
