"""Keeps pandas, and what else libraries load on the off chance, out of processes that have no use for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_LEFT_OUT = frozenset({"pandas", "geopandas", "yaml"})


class _LeftOut(MetaPathFinder):
    """Says that the modules left out are not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError for what is left out; leaves all else to the finders after it."""
        del path, target
        if fullname in _LEFT_OUT:
            raise ModuleNotFoundError(f"{fullname} is left out of this process", name=fullname)
        return None


def without_pandas() -> None:
    """Lets pyogrio and pyarrow find no pandas: they would import it for functions that nothing here calls.

    numba finds no YAML either, which it would read a configuration file with that we do not have.

    Only for processes that are ours alone, such as `twin build` and its workers: it saves each of them a fifth of a
    second.
    """
    if not _LEFT_OUT & sys.modules.keys():
        sys.meta_path.insert(0, _LeftOut())
