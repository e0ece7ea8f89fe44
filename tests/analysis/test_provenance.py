"""What the inputs of a model mean: followed back from tables to inputs, through casts and arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.analysis.provenance import Meaning, Source, meaning_of
from tests.transforms.recognise.fusing import Arrays, imported, model

WEIGHTS: Arrays = {
    "table": np.ones((20, 3), np.float32), "k0": np.array([0]), "k1": np.array([1]), "k2": np.array([2]),
    "four": np.array(4), "forty": np.array(40), "three": np.array([3]), "s0": np.array(0), "s2": np.array(2),
    "parts": np.array([1, 2]), "pick": np.array([2, 0]),
}  # fmt: skip


def meaning(inputs: str, body: str, opset: int = 17) -> Meaning:
    """Of a graph whose output ``y`` is what the body makes; read before anything is recognised."""
    proto = model(f"m ({inputs}) => (float[] y) {{ {body} }}", WEIGHTS, opset=opset)
    return meaning_of(*imported(proto))


def ids(body: str, inputs: str = "int64[B, 3] x", opset: int = 17) -> list[Source]:
    """The sources in input ``x`` of the rows ``i`` of a table of 20 rows."""
    found = meaning(inputs, f"{body}\n y = Gather(table, i)", opset).ids
    assert set(found) <= {"x"}
    return found.get("x", [])


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("i = Identity(x)", 20),
        ("f = Cast<to = 1>(x)\n g = Abs(f)\n i = Cast<to = 7>(g)", 20),
        ("i = Mod(x, four)", None),  # whatever is given, it is in range
        ("i = Mod(x, forty)", 20),
        ("i = Add(x, four)", 16),
        ("i = Add(four, x)", 16),
        ("i = Mul(x, three)", 7),
        ("i = Div(x, three)", 60),
        ("i = Add(x, forty)", 1),  # no id fits: the least there is
        ("i = Sub(x, four)", 20),
        ("a = Mod(x, four)\n i = Add(a, a)", None),
    ],
)
def test_the_limit_changes_on_the_way(body: str, limit: int | None) -> None:
    found = ids(body)
    assert {source.limit for source in found} == {limit}
    assert {source.select for source in found} == {None}
    assert not any(source.summed for source in found)


@pytest.mark.parametrize(
    ("body", "select"),
    [
        ("i = Slice(x, k1, k2, k1)", (1, (1,))),
        ("i = Gather<axis = 1>(x, pick)", (1, (2, 0))),
        ("i = Gather<axis = 1>(x, s2)", (1, (2,))),
        ("i, j = Split<axis = 1>(x, parts)", (1, (0,))),
        ("j, i = Split<axis = 1>(x, parts)", (1, (1, 2))),
        ("a = Slice(x, k1, three, k1)\n i = Slice(a, k0, k1, k1)", (1, (1, 2))),  # no narrower than is safe
        ("a = Slice(x, k1, k2, k1)\n i = Reshape(a, k1)", (1, (1,))),
        ("a = Reshape(x, three)\n i = Slice(a, k0, k1, k0)", None),
    ],
)
def test_a_selection_narrows_what_the_ids_are(body: str, select: object) -> None:
    (source,) = ids(body)
    assert source.select == select
    assert source.limit == 20


def test_a_split_of_old_opsets_states_its_parts_as_an_attribute() -> None:
    (source,) = ids("j, i = Split<axis = 1, split = [1, 3]>(x)", "int64[B, 4] x", opset=11)
    assert source.select == (1, (1, 2, 3))
    (source,) = ids("j, i = Split<axis = 1>(x)", "int64[B, 4] x", opset=11)
    assert source.select == (1, (2, 3))


def test_an_operator_that_is_not_understood_ends_the_way() -> None:
    assert ids('i = BitShift<direction = "LEFT">(x, x)', "uint64[B] x") == []
    assert ids("s = Shape(x)\n i = Slice(s, k0, k1)") == []


def test_several_ways_lead_to_several_inputs() -> None:
    inputs = "int64[B] x, int64[B] z, bool[B] c"
    found = meaning(inputs, "j = Add(z, four)\n i = Where(c, x, j)\n y = Gather(table, i)").ids
    assert {name: [s.limit for s in sources] for name, sources in found.items()} == {"x": [20], "z": [16]}


def test_bags_cut_on_the_host_have_boundaries() -> None:
    body = "b = Slice(x, o, e)\n r = Gather(table, b)\n y = ReduceSum(r, k0)"
    found = meaning("int64[N] x, int64[1] o, int64[1] e", body)
    (jagged,) = found.jagged
    assert (jagged.ids, jagged.boundary.name, jagged.layout) == ("x", "o", "offsets")


def test_boundaries_added_up_are_lengths() -> None:
    body = "t = CumSum(n, s0)\n o = Slice(t, k0, k1)\n b = Slice(x, o, e)\n y = Gather(table, b)"
    found = meaning("int64[N] x, int64[B] n, int64[1] e", body)
    (jagged,) = found.jagged
    assert (jagged.boundary.name, jagged.layout, jagged.boundary.summed) == ("n", "lengths", True)


def test_a_difference_undoes_a_sum() -> None:
    body = (
        "t = CumSum(n, s0)\n d = Sub(t, n)\n o = Slice(d, k0, k1)\n"
        "b = Slice(x, o, e)\n r = Gather(table, b)\n y = Identity(r)"
    )
    found = meaning("int64[N] x, int64[B] n, int64[1] e", body)
    assert {j.layout for j in found.jagged} >= {"lengths"}
