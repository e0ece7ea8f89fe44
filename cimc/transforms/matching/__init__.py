"""What rewrites of a graph are made of: its nodes, the match, its failure and what is put in its place."""
