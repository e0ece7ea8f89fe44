"""Arrays whose elements are made when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray


class LazyArray(ABC):
    """A read-only array of one dimension or more that is never held whole.

    It has the shape and dtype of the array that it stands for, is sliced and gathered along its first axis
    (``array[10:20]``, ``array[ids]``) and gives numpy arrays.  ``numpy.asarray`` and whatever needs all
    elements at once (:meth:`astype`, :meth:`reshape`, :attr:`T`) makes the whole array: right for small ones.

    Attributes:
        shape, dtype: as of a numpy array.
        recipe: text from which the elements follow; equal recipes make equal arrays.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    recipe: str

    @abstractmethod
    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop`` of the first axis, ``0 <= start <= stop <= len(self)``."""

    @abstractmethod
    def gather(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The rows with these numbers (flat, all within the array), in order."""

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements, were they held."""
        return self.size * self.itemsize

    @property
    def T(self) -> NDArray[Any]:
        """The whole array, transposed."""
        return np.asarray(self).T

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if isinstance(index, slice) and index.step in (None, 1):
            start, stop, _ = index.indices(len(self))
            return self.rows(start, max(start, stop))
        if isinstance(index, np.ndarray) and index.dtype.kind in "iu":
            rows = index.astype(np.int64, copy=False)
            if rows.size and (rows.min() < -len(self) or rows.max() >= len(self)):
                raise IndexError(f"rows must lie in 0..{len(self) - 1}")
            flat = np.where(rows < 0, rows + len(self), rows).reshape(-1)
            return self.gather(flat).reshape(*index.shape, *self.shape[1:])
        whole: NDArray[Any] = np.asarray(self)[index]
        return whole

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a lazy array has no elements to share")
        whole = self.rows(0, len(self))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def astype(self, dtype: Any, copy: bool = True) -> NDArray[Any]:
        """The whole array in another dtype."""
        return np.asarray(self).astype(dtype, copy=False)

    def reshape(self, *shape: Any) -> NDArray[Any]:
        """The whole array in another shape."""
        return np.asarray(self).reshape(*shape)

    def tobytes(self) -> bytes:
        """The bytes of the whole array."""
        return np.asarray(self).tobytes()
