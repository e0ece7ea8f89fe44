"""Golden shares: for every model that tests know, how much of its work is done on chip."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cimc.cost.on_chip import OnChip

FOLDER = Path(__file__).parent / "golden" / "shares"
CheckShare = Callable[[str, str, OnChip], None]


def read(group: str) -> dict[str, dict[str, Any]]:
    """The golden shares of a group of models, by name."""
    path = FOLDER / f"{group}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def shown(found: OnChip) -> dict[str, Any]:
    """What a golden file says of a model."""
    return {
        "macs": _rounded(found.macs.share),
        "lookups": _rounded(found.lookups.share),
        "first_on_host": None if found.first is None else f"{found.first[0]} ({found.first[1]})",
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def compare(group: str, name: str, found: OnChip, update: bool) -> None:
    """Fail unless the share of a model is its golden one; a better one is to be written down, too."""
    golden, here = read(group), shown(found)
    if update and golden.get(name) != here:
        golden[name] = here
        FOLDER.mkdir(parents=True, exist_ok=True)
        text = json.dumps(dict(sorted(golden.items())), indent=1, ensure_ascii=False)
        (FOLDER / f"{group}.json").write_text(text + "\n", encoding="utf-8")
    assert name in golden, f"{name} has no golden share: pytest --update-golden"
    assert here == golden[name], (
        f"the share of {name} on chip differs: pytest --update-golden if that is right"
    )


def compare_names(group: str, names: Iterable[str], update: bool) -> None:
    """Fail if the golden file knows models that do not exist (any more)."""
    golden, here = read(group), set(names)
    stale = sorted(set(golden) - here)
    if update and stale:
        text = json.dumps({k: v for k, v in golden.items() if k in here}, indent=1, ensure_ascii=False)
        (FOLDER / f"{group}.json").write_text(text + "\n", encoding="utf-8")
        return
    assert not stale, f"golden shares of models that are gone: {stale}"
