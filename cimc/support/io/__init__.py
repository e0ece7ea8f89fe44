"""Files: written atomically, read in blocks, arrays made when they are asked for."""
