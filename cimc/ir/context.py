"""What a compilation carries beside the IR: stores, target, calibration data, the resulting program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context

from cimc.errors import CimcError, PassError
from cimc.ir.tensor_store import TensorStore
from cimc.remarks import Remark, Remarks
from cimc.support.plugins.origin import Origin
from cimc.support.row_bags import RowBags

if TYPE_CHECKING:
    from cimc.target.spec import Target

Requests = dict[str, NDArray[Any]]
"""Arrays named after the graph's inputs (and, in results, outputs)."""


class Access(NamedTuple):
    """Row accesses of one table: distinct ids, accesses per id, and the requests they came from.

    ``bags``: bags of two rows or more, all or some; None where nobody looked at which rows are read together.
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    requests: int
    bags: RowBags | None = None


@dataclass
class CompilerContext(Context):
    """An xDSL context with the data that passes of cimc need.

    Attributes:
        store: bulk arrays named by ``@symbol`` in the IR.
        target: the machine compiled for; ``None`` until a pass needs one.
        calibration: requests whose activations set quantisation and ADC ranges.
        calibration_synthetic: whether those requests were invented by cimc.
        no_calibration: why there are none, where cimc tried to invent them.
        model: name of the model's file, and ``model_digest`` of what is in it.
        pipeline: the passes under way, with the options that they have by now; empty for passes run singly.
        remarks: what passes found out and decided, by type; see :meth:`remark`.
        samples: per matrix, quantised calibration inputs ``int32[samples, rows]`` of its MVMs.
        access: per table, the ids that requests look up and how often: those of ``trace``, otherwise those of
            calibration requests.
        trace: per table, accesses that the user recorded; they go before those of calibration requests.
        shapes: the last shape analysis, and the state of the function that it is of; see
            :mod:`cimc.analysis.shapes.cached`.
        program: what ``lower`` produced.
        notes: lines for the user about every fallback or assumption taken.
        plugins: those whose objects passes used.
        imported: whether the module comes from a model: then nobody but cimc wrote its IR.
    """

    store: TensorStore = field(default_factory=TensorStore)
    target: Target | None = None
    calibration: Requests | None = None
    calibration_synthetic: bool = False
    no_calibration: CimcError | None = None
    seed: int = 0
    model: str = ""
    model_digest: str = ""
    pipeline: str = ""
    remarks: Remarks = field(default_factory=Remarks)
    samples: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    access: dict[str, Access] = field(default_factory=dict)
    trace: dict[str, Access] = field(default_factory=dict)
    shapes: Any = None
    program: Any = None
    notes: list[str] = field(default_factory=list)
    plugins: dict[Origin, None] = field(default_factory=dict)
    imported: bool = False

    def remark(self, found: Remark) -> None:
        """Keep what a pass has to say, instead of what it said before.

        Raises:
            PassError: ``pass.bad-remark``, for one of a plug-in that is not registered, or is no JSON.
        """
        self.remarks = self.remarks.having(found)

    def clone(self) -> CompilerContext:
        """An independent copy (arrays are shared: they are immutable)."""
        base = super().clone()
        copy = CompilerContext(base.allow_unregistered)
        copy.__dict__.update(base.__dict__)
        copy.store = self.store.copy()
        copy.target, copy.calibration = self.target, self.calibration
        copy.calibration_synthetic, copy.seed = self.calibration_synthetic, self.seed
        copy.no_calibration = self.no_calibration
        copy.model, copy.model_digest, copy.pipeline = self.model, self.model_digest, self.pipeline
        copy.remarks, copy.samples = self.remarks, dict(self.samples)
        copy.access, copy.trace = dict(self.access), dict(self.trace)
        copy.shapes = None
        copy.program, copy.notes = self.program, list(self.notes)
        copy.imported, copy.plugins = self.imported, dict(self.plugins)
        return copy


def compiler_context(ctx: Context, pass_name: str) -> CompilerContext:
    """The compilation data of ``ctx``; an error when a plain xDSL context runs pass ``pass_name``."""
    if isinstance(ctx, CompilerContext):
        return ctx
    raise PassError(
        "pass.needs-context",
        f"pass '{pass_name}' works on arrays that stand beside the IR, and none were loaded",
        hint="run it through 'cimc opt' or cimc.Pipeline instead of xdsl-opt",
    )


def target_of(ctx: CompilerContext, pass_name: str) -> Target:
    """The target of the compilation; an error when none was chosen."""
    if ctx.target is None:
        raise PassError("pass.needs-target", f"pass '{pass_name}' needs a target", hint="add --target NAME")
    return ctx.target
