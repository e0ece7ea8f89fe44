"""The peak grows with what is touched, and stays; a process of its own has no peak of other tests."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from cimc.support.peak_memory import peak_bytes
before = peak_bytes()
taken = bytearray(b"x") * (1 << 27)
del taken
print(before, peak_bytes())
"""


def test_the_peak_stays() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert 0 < before < 1 << 27
    assert (1 << 27) <= after - before + (1 << 22) < (1 << 28)
