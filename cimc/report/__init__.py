"""Results as blocks of text and tables; rendering, nothing else."""
