"""What a memory device is, and what its cells hold once programmed and aged."""
