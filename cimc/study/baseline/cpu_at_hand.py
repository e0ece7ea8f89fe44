"""Which CPU and which libraries a measurement used."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import cimc


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def load_average() -> float | None:
    """Processes that ran or wanted to, over the last minute; ``None`` where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def cpu_name() -> str:
    """As the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of Python, the libraries that computed, and the BLAS under numpy."""
    from threadpoolctl import threadpool_info

    found = {"python": sys.version.split()[0], "cimc": cimc.__version__}
    found |= {name: version(name) for name in ("numpy", "numba", "onnx", "onnxruntime")}
    blas = sorted(
        {
            f"{each['internal_api']} {each.get('version')} {each.get('architecture', '')}".strip()
            for each in threadpool_info()
            if each.get("user_api") == "blas"
        }
    )
    return {**found, "blas": ", ".join(blas) or "not known"}
