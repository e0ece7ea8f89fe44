"""Items on bins under capacities: the problem, its bounds, and strategies."""
