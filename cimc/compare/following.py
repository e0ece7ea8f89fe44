"""The reference that chooses as a program did.

Where a model chooses by scores (``TopK``, ``ArgMax``, ``ArgMin``), a tie that falls the other way changes all
that follows, however exact the rest is.  So the program's choices are recorded, judged by the reference's
scores, and prescribed to the reference: given the same ids, its outputs must agree as those of any model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from cimc.compare.check import Bound, Check, check_outputs
from cimc.compare.choice_check import ChoiceCheck, fits, judge
from cimc.compare.reference import Reference, inputs_of
from cimc.errors import CimcError, printable
from cimc.host.choices import Choice, choosers, decided_by, expose, ids_among, match, prescribe
from cimc.host.runtime import run_onnx
from cimc.workload.request_rules import Arrays


@dataclass(frozen=True)
class Followed:
    """A reference that chose as a program did.

    Attributes:
        outputs: its outputs, given the program's choices.
        free: its outputs when it chooses by itself.
        exact: names of outputs that hold ids, also as floats.
        choices: how good the program's choices are.
        notes: what could not be prescribed.
    """

    outputs: Arrays
    free: Arrays
    exact: frozenset[str] = frozenset()
    choices: tuple[ChoiceCheck, ...] = ()
    notes: tuple[str, ...] = ()


def follow(
    model: Path, arrays: Arrays, outputs: Sequence[str], found: Sequence[Choice], bound: Bound
) -> tuple[Followed, str]:
    """Outputs of an ONNX file that chooses as a program did, and the digest of the file.

    Args:
        model: the file.
        arrays: the requests.
        outputs: the outputs to compute.
        found: what the program chose on these requests.
        bound: what counts as close enough.

    Raises:
        ModelError, RequestError: as :func:`cimc.compare.reference.reference_outputs`.
    """
    reference = Reference.load(model, outputs)
    if not found or not reference.may_choose:
        return _alone(reference.run(arrays)), reference.loaded.digest
    try:
        part = reference.part()
    except CimcError as error:
        if error.code != "export.too-large":
            raise
        note = "the model is too large for the choices of the program to be prescribed to the reference"
        return _alone(reference.run(arrays), note), reference.loaded.digest
    return _follow(part, arrays, list(outputs), found, bound), reference.loaded.digest


def _follow(
    part: onnx.ModelProto, arrays: Arrays, outputs: list[str], found: Sequence[Choice], bound: Bound
) -> Followed:
    nodes = [chooser for _, chooser in choosers(part.graph)]
    given = inputs_of(part.graph, arrays)
    free = onnx.ModelProto.FromString(part.SerializeToString())
    taps = expose(free)
    values = run_onnx(free, given, [*outputs, *(name for tap in taps for name in tap[1:])])
    own = [values[ids] for _, _, ids in taps]
    pairs = {
        at: choice
        for at, choice in match(nodes, found).items()
        if fits(nodes[at], choice, values[taps[at][1]], own[at])
    }
    exact = frozenset(ids_among(part.graph, nodes))
    decided = [tuple(decided_by(part.graph, node)) for node in nodes]
    told = prescribe(part, pairs)
    given |= {name: pairs[at].ids for at, name, _, _ in told}
    names = [name for _, _, *pair in told for name in pair]
    forced = run_onnx(part, given, [*outputs, *names]) if told else values
    checks = tuple(
        judge(nodes[at], decided[at], pairs[at], forced[scores], forced[ids], own[at], bound)
        for at, _, scores, ids in told
    )
    followed = {at for at, *_ in told}
    notes = tuple(
        f"what {node.op} '{printable(node.name)}' chooses is not prescribed to the reference: "
        "its ids are compared place by place"
        for at, node in enumerate(nodes)
        if at not in followed
    )
    alone = {name: values[name] for name in outputs}
    return Followed({name: forced[name] for name in outputs}, alone, exact, checks, notes)


def _alone(outputs: Arrays, *notes: str) -> Followed:
    return Followed(outputs, outputs, notes=notes)


def check_choices_and_outputs(
    reference: Followed, value: Arrays, bound: Bound, labels: NDArray[Any] | None = None
) -> Check:
    """Compare outputs with a reference that chose the same; see :func:`cimc.compare.check.check_outputs`."""
    found = check_outputs(reference.outputs, value, bound, labels, reference.free, reference.exact)
    return replace(found, choices=reference.choices, notes=(*found.notes, *reference.notes))
