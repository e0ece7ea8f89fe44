"""A sample plug-in of cimc: one object of each kind; ``pyproject.toml`` names them."""
