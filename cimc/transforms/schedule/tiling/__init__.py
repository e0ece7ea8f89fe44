"""Values larger than a scratchpad, part by part."""
