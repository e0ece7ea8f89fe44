"""How much of the machine each part of a model gets: instances, places of tables, columns of layers."""
