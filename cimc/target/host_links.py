"""Links that leave a chip: presets of their own, one of which a target has.

A link is what it always takes (``static_mw``, one end), what a bit takes beyond that, a rate and a latency.
``tsinghua28{link=cxl}`` gives a target another one.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from cimc.errors import TargetError
from cimc.support.io.descriptions import Kind, presets
from cimc.support.registry import Registry
from cimc.target.spec import BitEnergy, Rate, Spec, StaticPower, Target, Text, Time
from cimc.target.validate import validate

_KIND = Kind("link", "docs/targets.md", TargetError, "target.unknown", "target.syntax", "target.invalid")

FIELDS = {
    "host_link_gbps": "gbps",
    "host_link_pj_per_bit": "pj_per_bit",
    "host_link_static_mw": "static_mw",
    "host_link_ns": "latency_ns",
}
"""Constants of a chip, and those of a link that they are."""


class Link(Spec):
    """All links of one chip together; figures as those of a target."""

    name: Text
    title: Text
    gbps: Rate
    pj_per_bit: BitEnergy
    static_mw: StaticPower
    latency_ns: Time


def _parse(text: str, file: str) -> Link:
    document = _KIND.parse(text, file)
    try:
        return Link.model_validate(document.value)
    except ValidationError as error:
        raise _KIND.problems(error, file, document.lines, "docs/targets.md says what a link has") from None


def _is_link(name: str, item: object) -> str | None:
    return None if isinstance(item, Link) else f"it is {type(item).__name__}, not a Link"


LINKS: Registry[Link] = Registry(
    "link",
    presets("cimc.target", _parse, "links"),
    error=TargetError,
    unknown="target.unknown",
    fits=_is_link,
)
"""Links by name."""


def with_link(target: Target, name: str) -> Target:
    """``target`` with all its chips on the link ``name``.

    Raises ``TargetError`` ``target.unknown`` for a link that there is not.
    """
    link = LINKS[name]
    data: dict[str, Any] = target.model_dump(mode="json")
    data["chip"]["host_link"] = link.name
    for field, own in FIELDS.items():
        data["chip"][field] = getattr(link, own).model_dump(mode="json")
    source = f"chosen by the user: {link.title}"
    data["provenance"].append({"paths": ["chip.host_link"], "source": source, "basis": "assumed"})
    return validate(data, f"{target.name} on {name}")
