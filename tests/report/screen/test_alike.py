"""Like rows become one; rows that differ in anything else stay apart."""

from __future__ import annotations

from cimc.report.screen.alike import shape_text, together


def test_rows_that_differ_in_a_number_of_their_name_are_one() -> None:
    rows = [(f"ids_{n}", "int64", "[b]") for n in range(26)]
    assert together(rows) == [("ids_0 ... ids_25 (26)", "int64", "[b]")]


def test_a_number_of_the_name_may_name_a_dimension() -> None:
    rows = [row for n in (1, 2, 3) for row in ((f"ids_{n}", f"[nnz_{n}]"), (f"offsets_{n}", "[b]"))]
    assert together(rows) == [
        ("ids_1 ... ids_3 (3)", "[nnz_1] ... [nnz_3]"),
        ("offsets_1 ... offsets_3 (3)", "[b]"),
    ]


def test_what_differs_elsewhere_stays_apart() -> None:
    rows = [("t_0", "10"), ("t_1", "10"), ("t_2", "11"), ("t_3", "12")]
    assert together(rows) == rows  # sizes differ, and two are not many
    kinds = [("x1", "float32"), ("x2", "float16"), ("x3", "float64")]
    assert together(kinds) == kinds
    sizes = [("w_1", "[1, 16]"), ("w_2", "[2, 16]"), ("w_3", "[3, 16]")]
    assert together(sizes) == sizes


def test_the_column_of_names_may_be_another() -> None:
    rows = [("input", f"a{n}") for n in range(3)] + [("output", f"a{n}") for n in range(2)]
    assert together(rows, name=1) == [("input", "a0 ... a2 (3)"), ("output", "a0"), ("output", "a1")]


def test_shapes_without_quotes() -> None:
    assert shape_text(["batch", 13]) == "[batch, 13]"
    assert shape_text(None) == "?"
