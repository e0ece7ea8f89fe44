"""The registry, and that every name in the package's own registries leads somewhere."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from cimc.analysis.shapes.rule_registry import RULES
from cimc.errors import CimcError, PassError, TargetError
from cimc.mapping.assignment.strategy_registry import STRATEGIES
from cimc.mapping.grouping import GROUPINGS
from cimc.mapping.mesh.mesh_solve import QUADRATIC_METHODS
from cimc.mapping.replication import REPLICATIONS
from cimc.sim.devices.model.load_device import DEVICES
from cimc.support.plugins.origin import Origin
from cimc.support.registry import Deferred, Registry
from cimc.target.load_target import TARGETS, load_target
from cimc.transforms.onnx.batch_major.lifted_operators import RULES as LIFTED
from cimc.transforms.passes import PASSES
from cimc.transforms.presets.policies import BUNDLES
from cimc.transforms.recognise import RECOGNISERS, recognisers
from cimc.transforms.recognise.recogniser import Recogniser, Stage

ALL: tuple[Registry[Any], ...] = (
    *(RULES, STRATEGIES, GROUPINGS, QUADRATIC_METHODS, REPLICATIONS),
    *(DEVICES, TARGETS, LIFTED, PASSES, BUNDLES, RECOGNISERS),
)


def hello() -> str:
    return "hello"


def other() -> str:
    return "other"


@pytest.fixture
def registry() -> Registry[Any]:
    return Registry("thing", {"b": "math:pi", "a": "os:path.join"}, unknown="pass.unknown")


def code(error: pytest.ExceptionInfo[CimcError]) -> str:
    return error.value.code


@pytest.mark.parametrize("each", ALL, ids=lambda r: r._kind)
def test_every_built_in_name_leads_to_an_object_that_fits(each: Registry[Any]) -> None:
    assert len(each) > 0
    assert list(each) == sorted(each)
    for name in each:
        item = each[name]
        assert item is not None
        assert not isinstance(item, Deferred)
        assert each._fits is None or each._fits(name, item) is None
        assert each.origin(name) == "cimc"


def test_objects_are_imported_when_asked_for(registry: Registry[Any]) -> None:
    import math
    import os

    assert registry.names() == ("a", "b")
    assert registry["b"] is math.pi
    assert registry["a"] is os.path.join
    asked: list[int] = []
    registry.register("c", Deferred("here", lambda: asked.append(1) or "c"))
    assert (not asked, registry["c"], registry["c"], asked) == (True, "c", "c", [1])


def test_an_unknown_name_is_refused_with_what_is_close(registry: Registry[Any]) -> None:
    registry.register("hello", hello)
    with pytest.raises(PassError, match="there is no thing `helo`") as caught:
        registry["helo"]
    assert code(caught) == "pass.unknown"
    assert caught.value.hint == "did you mean hello? known: a, b, hello"
    with pytest.raises(PassError):
        registry.origin("helo")


def test_a_name_is_given_once(registry: Registry[Any]) -> None:
    assert registry.register("hello")(hello) is hello
    registry.register("hello", hello)  # a module that is loaded again
    registry.register("hello", f"{__name__}:hello")
    assert registry["hello"].__qualname__ == "hello"
    for name, item in (("hello", other), ("hello", f"{__name__}:other"), ("b", hello)):
        with pytest.raises(PassError, match="there is already a thing") as caught:
            registry.register(name, item)
        assert code(caught) == "plugin.duplicate"
    registry.register("b", "math:pi", origin="math again")
    assert registry.origin("b") == "math again"


def test_what_others_bring_is_judged_when_it_is_asked_for() -> None:
    registry: Registry[Any] = Registry(
        "thing", fits=lambda name, item: None if callable(item) else "no function"
    )
    registry.register("gone", "nowhere_to_be_found:attribute", origin="a plug-in")
    registry.register("none", "math:nothing")
    registry.register("number", "math:pi")
    for name, why in (("gone", "ModuleNotFoundError"), ("none", "AttributeError"), ("number", "no function")):
        with pytest.raises(PassError, match=why) as caught:
            registry[name]
        assert code(caught) == "plugin.unfit"
    with pytest.raises(PassError, match="of a plug-in cannot be used"):
        registry["gone"]
    with pytest.raises(ValueError, match="module:attribute"):
        registry.register("bad", "no colon")


@pytest.mark.parametrize("name", ["", "a b", "a,b", "x{y=1}", "x=y", "Größe", "9", "-1", "true", "a.b"])
def test_a_name_that_nobody_could_write_is_refused(registry: Registry[Any], name: str) -> None:
    with pytest.raises(PassError, match="nobody could write it") as caught:
        registry.register(name, hello)
    assert code(caught) == "plugin.unfit"
    assert name not in registry


def test_a_decorator_without_parentheses_is_refused(registry: Registry[Any]) -> None:
    with pytest.raises(PassError, match="no text") as caught:

        @registry.register  # type: ignore[arg-type]
        def mine() -> None: ...

    assert "register(NAME)" in str(caught.value.hint)


def test_a_target_may_have_dots_in_its_name() -> None:
    with TARGETS.restored():
        TARGETS.register("card-2.1", load_target("isaac32"))
        assert load_target("card-2.1{array.adc_bits=5}").array.adc_bits == 5


def test_a_name_that_stands_for_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is registered; of what is installed, where the name is used."""

    def of_thing(group: str) -> Any:
        yield EntryPoint("all", "somewhere:thing", group), Origin("guest", "1.0", "somewhere")

    monkeypatch.setattr("cimc.support.registry.installed", of_thing)
    registry: Registry[Any] = Registry("thing", {"a": "math:pi"}, group="x", reserved={"all": "everything"})
    for refused in (
        lambda: registry.register("all", hello),
        lambda: registry["all"],
        lambda: registry.check_reserved("all"),
    ):
        with pytest.raises(PassError, match="it stands for everything") as caught:
            refused()
        assert code(caught) == "plugin.duplicate"
    registry.check_reserved("a")
    alone: Registry[Any] = Registry("thing", {"a": "math:pi"}, reserved={"all": "everything"})
    alone.check_reserved("all")


def test_a_broken_built_in_is_a_bug_and_no_error_of_the_user() -> None:
    registry: Registry[Any] = Registry("thing", {"gone": "nowhere_to_be_found:attribute"})
    with pytest.raises(ModuleNotFoundError):
        registry["gone"]


def test_what_is_registered_inside_is_gone_afterwards(registry: Registry[Any]) -> None:
    with registry.restored():
        registry.register("hello", hello)
        assert "hello" in registry
    assert "hello" not in registry


def test_order_puts_others_first(registry: Registry[Any]) -> None:
    registry.register("x", "math:e")
    registry.register("w", "math:tau")
    import math
    import os

    assert registry.in_order() == (math.tau, math.e, math.pi, os.path.join)


def test_a_target_of_ones_own_works_by_name() -> None:
    target = load_target("isaac32{array.adc_bits=6}")
    with TARGETS.restored():
        TARGETS.register("mine", target)
        assert load_target("mine") is target
        assert load_target("mine{array.adc_bits=5}").array.adc_bits == 5
    with pytest.raises(TargetError) as caught:
        load_target("mine")
    assert code(caught) == "target.unknown"


def test_a_recogniser_of_ones_own_comes_before_the_built_in_ones_of_its_stage() -> None:
    class Mine(Recogniser):
        name = "mine"
        kinds = frozenset({"Relu"})
        stage = Stage.OPERATORS

    before = {stage: recognisers(stage) for stage in Stage}
    with RECOGNISERS.restored():
        RECOGNISERS.register("mine", Mine)
        assert recognisers(Stage.PATTERNS) == before[Stage.PATTERNS]
        assert recognisers(Stage.OPERATORS) == [Mine, *before[Stage.OPERATORS]]
        assert recognisers(Stage.OPERATORS, ["mine"]) == [Mine]
    assert len(before[Stage.PATTERNS]) + len(before[Stage.OPERATORS]) == len(RECOGNISERS)
