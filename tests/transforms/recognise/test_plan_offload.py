"""Which form of a composite is taken; and every pass up to ``outline-host`` goes on from text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from xdsl.dialects.builtin import Float64Type, ModuleOp, StringAttr, TensorType
from xdsl.passes import ModulePass

from cimc.errors import InfeasibleError, PassError
from cimc.interpreter.evaluate import main_function
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx.dialect import CompositeOp, NodeOp
from cimc.ir.text import parse_ir, print_ir
from cimc.transforms.instrumentation import Instrument
from cimc.transforms.onnx.expand_composites import ExpandComposites
from cimc.transforms.onnx.onnx_functions import NODES, OFFLOAD
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.recognise.offload import OffloadError
from cimc.transforms.recognise.plan_offload import PlanOffload
from cimc.transforms.recognise.run_recognisers import BATCH
from models.tiny import tiny_dlrm
from tests.transforms.onnx.composites.test_operators import node
from tests.transforms.onnx.test_recurrent import recurrent
from tests.transforms.recognise.fusing import floats, imported, model


def half() -> onnx.ModelProto:
    """A layer between values of f16."""
    graph = "m (float16[B, 4] x) => (float16[B, 4] y) { h = MatMul(x, w)\n y = Relu(h) }"
    return model(graph, {"w": floats(4, 4).astype(np.float16)})


def torn() -> onnx.ModelProto:
    """A recurrent layer whose state is made on the host, so that the chip would get some products only."""
    proto = recurrent("GRU", states=True)[0]
    place = [list(n.output) for n in proto.graph.node].index(["moved0"])
    proto.graph.node[place].output[0] = "single"
    proto.graph.node.insert(place + 1, node("CumSum", ["single", "axis"], ["moved0"]))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(1), "axis"))
    return proto


def host_only() -> onnx.ModelProto:
    """Nothing of it goes to the chip, and it is not f32."""
    return model("m (double[B, 4] x) => (double[B, 4] y) { y = Relu(x) }")


def rows() -> onnx.ModelProto:
    """A table with a scale for each row."""
    return model(
        """m (int64[B] ids) => (float[B, 4] y) {
            r = Gather(q, ids)
            c = Cast<to = 1>(r)
            f = Gather(s, ids)
            y = Mul(c, f)
        }""",
        {"q": np.arange(40, dtype=np.uint8).reshape(10, 4), "s": np.abs(floats(10, 1)) + 1},
    )


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "dlrm": lambda: tiny_dlrm(0)[0],
    "gru": lambda: recurrent("GRU")[0],
    "torn": torn,
    "half": half,
    "host-only": host_only,
    "rows": rows,
}


class Retries(Instrument):
    """Collects the passes that a pipeline comes back to."""

    def __init__(self) -> None:
        self.again: list[ModulePass] = []

    def retry(
        self, module: ModuleOp, ctx: CompilerContext, number: int, again: ModulePass, error: InfeasibleError
    ) -> None:
        self.again.append(again)


def planned(
    proto: onnx.ModelProto, line: str = FRONTEND
) -> tuple[ModuleOp, CompilerContext, Pipeline, Retries]:
    """The model after ``line``, the pipeline that fitted, and what ran again for it."""
    module, ctx = imported(proto)
    retries = Retries()
    return module, ctx, Pipeline.parse(line).run(module, ctx, [retries]), retries


@pytest.mark.parametrize("name", MODELS)
def test_every_pass_goes_on_from_text(name: str) -> None:
    proto = MODELS[name]()
    module, ctx, fitted, _ = planned(proto)
    again, other = imported(proto)
    for each in fitted.passes:
        each.apply(other, again)
        again = parse_ir(print_ir(again, locations=True), other)
    assert print_ir(again, locations=True) == print_ir(module, locations=True)
    assert other.remarks.recognition == ctx.remarks.recognition
    assert not any(key in main_function(module).attributes for key in (OFFLOAD, NODES, BATCH))


def test_the_whole_of_a_composite_is_the_model_until_one_is_chosen() -> None:
    module, ctx = imported(recurrent("GRU")[0])
    ExpandComposites().apply(ctx, module)
    found = [op for op in module.walk() if isinstance(op, CompositeOp)]
    assert [op.node.operator for op in found] == ["GRU"]
    PlanOffload().apply(ctx, module)
    assert not any(isinstance(op, CompositeOp) for op in module.walk())
    assert main_function(module).attributes[OFFLOAD] == StringAttr("changed")


@pytest.mark.parametrize("name", ["dlrm", "gru", "half", "rows"])
def test_what_gets_to_the_chip_is_tried_once(name: str) -> None:
    *_, retries = planned(MODELS[name]())
    assert retries.again == []


def test_a_sequence_of_which_some_products_stay_on_the_host_stays_whole() -> None:
    proto = torn()
    module, ctx, fitted, retries = planned(proto)
    (again,) = retries.again
    assert isinstance(again, PlanOffload)
    assert again.whole == (0,)
    assert again in fitted.passes
    (gru,) = [op for op in module.walk() if isinstance(op, NodeOp) and op.operator == "GRU"]
    assert isinstance(gru.parent_op(), rec.HostOp)
    known = ctx.remarks.recognition
    assert known is not None
    (host,) = [h for h in known.host if h.op == "GRU"]
    assert host.reason == again.why[0]
    same, other, _, none = planned(proto, str(fitted))
    assert none.again == []
    assert print_ir(same, locations=True) == print_ir(module, locations=True)
    assert other.remarks.recognition == known
    assert set(other.store) == set(ctx.store)


def test_a_model_that_stays_on_the_host_keeps_its_arithmetic() -> None:
    module, _, fitted, retries = planned(host_only())
    assert [str(each.spec()) for each in retries.again] == ['plan-offload{host_only="main"}']
    (relu,) = [op for op in module.walk() if isinstance(op, NodeOp)]
    assert isinstance(relu.results[0].type, TensorType)
    assert isinstance(relu.results[0].type.element_type, Float64Type)
    assert retries.again[0] in fitted.passes


def test_without_plan_offload_before_it_demote_says_what_to_do() -> None:
    module, ctx = imported(host_only())
    front, back = FRONTEND.split(",demote")
    Pipeline.parse(front).run(module, ctx)
    with pytest.raises(OffloadError, match="nothing of @main goes to the chip") as error:
        Pipeline.parse("demote" + back).run(module, ctx)
    assert error.value.code == "pass.offload"
    assert error.value.hint == "begin again with plan-offload{host_only=main}"


def test_what_is_converted_on_demand_may_stay_on_the_host() -> None:
    module, ctx = imported(host_only())
    Pipeline.parse("convert-precision,recognise,demote,outline-host").run(module, ctx)
    assert ctx.remarks.recognition is not None
    assert ctx.remarks.recognition.chip == 0


@pytest.mark.parametrize("options", ["whole=1", "whole=0,-1", "host_only=other"])
def test_options_name_what_is_there(options: str) -> None:
    module, ctx = imported(recurrent("GRU")[0])
    with pytest.raises(PassError) as error:
        Pipeline.parse(f"expand-composites,plan-offload{{{options}}}").run(module, ctx)
    assert error.value.code == "pass.bad-option"


def test_reasons_survive_the_pipeline_string() -> None:
    why = 'of "x{1,2}",\n a \\ b'
    line = Pipeline((PlanOffload(whole=(0,), why=(why,)),))
    assert Pipeline.parse(str(line)) == line


def test_a_pass_of_the_onnx_dialect_comes_before_recognise() -> None:
    module, ctx = imported(tiny_dlrm(0)[0])
    Pipeline.parse("recognise").run(module, ctx)
    for name in ("expand-composites", "plan-offload", "convert-precision", "batch-major", "recognise"):
        with pytest.raises(PassError) as error:
            Pipeline.parse(name).run(module, ctx)
        assert error.value.code == "pass.after-recognise"
