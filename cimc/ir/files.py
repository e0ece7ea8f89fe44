"""Writing artifacts; see :mod:`cimc.files`."""

from cimc.files import atomic_file, write_atomically

__all__ = ["atomic_file", "write_atomically"]
