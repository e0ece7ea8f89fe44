"""The instruction set: what a program is, its text and binary forms, its verifier.  See ``docs/isa.md``."""
