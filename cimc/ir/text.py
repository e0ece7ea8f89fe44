"""IR as text: a context that knows every dialect, printing, and parsing with located errors."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, ModuleOp
from xdsl.dialects.func import Func
from xdsl.ir import Operation, SSAValue
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError, VerifyException

from cimc.errors import Location, PassError
from cimc.ir.cim import CIM
from cimc.ir.context import CompilerContext
from cimc.ir.onnx.dialect import ONNX
from cimc.ir.rec import REC


def load_dialects(ctx: Context) -> None:
    """Make ``builtin``, ``func`` and the dialects of cimc known to ``ctx``."""
    for dialect in (Builtin, Func, ONNX, REC, CIM):
        ctx.load_dialect(dialect)


def new_context() -> CompilerContext:
    """A compilation context with all dialects loaded."""
    ctx = CompilerContext()
    load_dialects(ctx)
    return ctx


def print_ir(module: ModuleOp, *, locations: bool = False) -> str:
    """The module as text; ``locations`` adds the ONNX node that each operation stems from."""
    stream = StringIO()
    Printer(stream=stream, print_debuginfo=locations).print_op(module)
    return stream.getvalue() + "\n"


def parse_ir(text: str, ctx: Context, file: str = "<text>") -> ModuleOp:
    """Parse and verify a module.

    Raises:
        PassError: ``ir.syntax`` or ``ir.invalid``, with the offending place in ``file``.
    """
    try:
        module = Parser(ctx, text, file).parse_module()
    except ParseError as error:
        raise PassError("ir.syntax", str(error).strip(), location=Location(file=file)) from None
    except VerifyException as error:
        raise PassError("ir.invalid", str(error).strip(), location=Location(file=file)) from None
    verify_ir(module, f"in {file}")
    return module


def verify_ir(module: ModuleOp, when: str) -> None:
    """Run all verifiers; a failure becomes ``ir.invalid`` that says ``when`` it was found."""
    try:
        module.verify()
        _verify_order(module, set())
    except (VerifyException, ValueError) as error:  # xDSL: ValueError for what was erased or torn out
        raise PassError("ir.invalid", f"IR does not verify {when}: {str(error).strip()}") from None


def _verify_order(op: Operation, known: set[SSAValue]) -> None:
    """Every value is defined before it is used, in the same block or around it, which xDSL leaves open.

    Args:
        op: whose regions are looked at.
        known: the values that are defined before it.

    Raises:
        VerifyException: an operand is of a later operation, of one within a region, or of none in the module.
    """
    for region in op.regions:
        inside: list[SSAValue] = []
        for block in region.blocks:
            inside += block.args
            known.update(block.args)
            for each in block.ops:
                for number, operand in enumerate(each.operands):
                    if operand not in known:
                        name = f" %{operand.name_hint}" if operand.name_hint else ""
                        raise VerifyException(
                            f"operand {number}{name} of {each.name} is not defined before it is used"
                        )
                if each.regions:
                    _verify_order(each, known)
                inside += each.results
                known.update(each.results)
        known.difference_update(inside)


def read_ir(path: Path, ctx: Context) -> ModuleOp:
    """Parse the module in the text file ``path``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PassError("io.cannot-read", f"cannot read {path}: {error}") from None
    return parse_ir(text, ctx, str(path))
