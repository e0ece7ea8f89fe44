"""What the rules that take an operator apart are written with: its operands, and the nodes it becomes."""

from __future__ import annotations
