"""Program files with any contents under a signature that is right: only the verifier can refuse them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from cimc.ir.tensor_store import digest_of
from cimc.isa.artifact import _digest

Arrays = dict[str, np.ndarray]


def signed_description(path: Path) -> str:
    """The JSON text inside of a program file."""
    with safe_open(path, "np") as file:
        text: str = file.metadata()["cimc"].partition(" ")[2]
    return text


def load_signed(path: Path) -> tuple[str, Arrays]:
    """The JSON text and the arrays of a program file."""
    with safe_open(path, "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    return signed_description(path), arrays


def write_signed(path: Path, text: str, arrays: Arrays) -> None:
    """A program file of this text and these arrays."""
    digest = _digest(text, {name: digest_of(array) for name, array in arrays.items()})
    save_file(arrays, path, {"cimc": f"{digest} {text}"})
