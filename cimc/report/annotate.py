"""The model itself, with each node saying where it goes: for graph viewers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from cimc.errors import printable
from cimc.frontend.import_graph import location_of

PLACE, REASON = "cimc.place", "cimc.reason"
"""Metadata keys of an annotated node."""


def annotated(model: Path, nodes: list[dict[str, Any]]) -> bytes:
    """The ONNX file ``model`` with ``nodes`` (of ``inspect_json``) written into metadata and doc strings.

    Only nodes of the main graph are annotated (``Constant`` nodes go nowhere).  Weights stay as they are:
    external data is referred to by the same relative path, so the result belongs beside the original.
    """
    proto = onnx.load(str(model), load_external_data=False)
    found = {node["node"]: node for node in nodes}
    for node in proto.graph.node:
        entry = found.get(location_of(node).desc.data)
        if entry is None:
            continue
        node.doc_string = f"{entry['place']}: {entry['reason'] or entry['becomes'] or '-'}"
        for key, value in ((PLACE, entry["place"]), (REASON, entry["reason"])):
            if value:
                node.metadata_props.add(key=key, value=printable(value, 500))
    return bytes(proto.SerializeToString(deterministic=True))
