"""The one way to compile an inner loop.  Importing this costs nothing; decorating with it imports numba.

Machine code is kept between processes: where ``NUMBA_CACHE_DIR`` says, else beside the source, else in the
user's cache folder; the first of them that can be written.  The kept code is a saving and nothing more: where
no folder serves, or what lies there cannot be read, loops are compiled anew in every process, which a
:class:`KernelCacheWarning` says once.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")

ADVICE = "kernels are compiled anew in every process; set NUMBA_CACHE_DIR to a folder that can be written"


class KernelCacheWarning(RuntimeWarning):
    """Compiled kernels cannot be kept for later processes."""


@overload
def jit(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def jit(*, inline: Literal[True]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def jit(function: Any = None, /, *, inline: bool = False) -> Any:
    """``function`` compiled on its first call, without the interpreter lock.

    No fast-math: sums keep their order, so results are equal on every machine.  Divisions are numpy's, so
    that loops of them can be vectors: a divisor of zero raises nothing.  ``inline``: make it part of the
    functions that call it, whose code is kept instead.
    """
    if function is None:
        return lambda f: _compiled(f, inline)
    return _compiled(function, inline)


def _compiled(function: Any, inline: bool) -> Any:
    from numba import njit

    compiled: Any = njit(nogil=True, error_model="numpy", inline="always" if inline else "never")(function)
    if not inline and hasattr(compiled, "enable_caching"):  # NUMBA_DISABLE_JIT leaves the function as it is
        _keep(compiled)
    return compiled


def _keep(dispatcher: Any) -> None:
    """Let numba keep the code of ``dispatcher``, as ``njit(cache=True)`` does, where there is a folder."""
    named = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    if not named and os.path.expanduser("~") == "~":  # noqa: PTH111 - pathlib raises
        _warn("the user has no home to keep compiled kernels in")  # numba would make a folder called ~ here
        return
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # numba tried all of its folders
        _warn("no folder to keep compiled kernels in can be written")
        return
    dispatcher._cache = _Kept(dispatcher._cache)


class _Kept:
    """numba's cache of one function; what fails in it is not a failure of the function."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, sig: Any, context: Any) -> Any:
        """The kept code for the argument types ``sig``, or None."""
        try:
            found = self._cache.load_overload(sig, context)
        except Exception as error:  # whatever reading a damaged or foreign pickle raises
            self._unusable(error)
            return None
        # Two processes that keep code of the same function for different types at the same moment may give
        # both files one name; then the index leads to code for other types.
        return found if found is None or tuple(found.signature.args) == _arguments(sig) else None

    def save_overload(self, sig: Any, code: Any) -> None:
        """Keep ``code`` for later processes."""
        try:
            self._cache.save_overload(sig, code)
        except Exception as error:  # a full disk, a quota, a damaged index
            self._unusable(error)

    def _unusable(self, error: Exception) -> None:
        self._cache.disable()
        _warn(f"the cache folder {self._cache.cache_path} cannot be used ({type(error).__name__}: {error})")


def _arguments(sig: Any) -> tuple[Any, ...]:
    from numba.core.sigutils import normalize_signature

    return tuple(normalize_signature(sig)[0])


_said: set[str] = set()
"""What this process has warned of, whatever the filters of warnings are."""


def _warn(what: str) -> None:
    if not _said:
        _said.add(what)
        warnings.warn(f"{what}: {ADVICE}", KernelCacheWarning, stacklevel=2)
