"""Inner loops compiled by numba; import these modules inside the function that needs them."""
