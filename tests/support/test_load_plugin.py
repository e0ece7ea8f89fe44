"""Plug-ins: files and modules that are named, packages that are installed, and who is blamed for what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import cimc
from cimc.errors import CimcError
from cimc.mapping import PlacementProblem, solve
from cimc.mapping.assignment.strategy_registry import STRATEGIES, Strategy
from cimc.support import load_plugin as loader
from cimc.support.load_plugin import load_again, load_plugin, loaded
from cimc.support.plugins import installed as installed_module
from cimc.support.plugins.origin import Origin, Plugin, noting, records, source_digest
from cimc.support.registry import Registry

STRATEGY = """
import numpy as np
import cimc
from cimc.mapping import Proposal

@cimc.register_strategy("{name}")
def place(problem, /, *, seed):
    return Proposal(np.arange(problem.n_items) % problem.n_bins)
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    known, modules = dict(loader._loaded), set(sys.modules)
    with ExitStack() as stack:
        stack.enter_context(STRATEGIES.restored())
        yield
    loader._loaded.clear()
    loader._loaded.update(known)
    for name in set(sys.modules) - modules:
        if name.startswith("cimc_plugin_"):
            del sys.modules[name]


def problem() -> PlacementProblem:
    return PlacementProblem(
        np.ones(2), np.ones(2, np.int64), np.ones(2), np.array([1, 1], np.int64), np.arange(2.0)
    )


def refused(code: str, call: object, *args: object) -> CimcError:
    assert callable(call)
    with pytest.raises(CimcError) as caught:
        call(*args)
    assert caught.value.code == code
    assert caught.value.exit_code == 2
    return caught.value


def test_a_file_registers_what_it_likes_and_is_named_by_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(STRATEGY.format(name="mine"))
    plugin = cimc.load_plugin(file)
    assert (plugin.name, plugin.version, len(plugin.digest)) == ("mine", "", 64)
    used: dict[Origin, None] = {}
    with noting(used):
        assert solve(problem(), "greedy").strategy == "greedy"
        assert not used
        assert solve(problem(), "mine").assignment.tolist() == [0, 1]
    assert records(used) == (plugin,)
    assert STRATEGIES.origin("mine") == "mine"
    assert load_plugin(file) == plugin
    assert [p for _, p in loaded()][-1] == plugin
    file.write_text(STRATEGY.format(name="mine") + "# changed\n")
    assert load_plugin(file).digest != plugin.digest


def test_a_module_is_known_by_the_digest_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "guest_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "strategies.py").write_text(STRATEGY.format(name="packaged"))
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = load_plugin("guest_package.strategies")
    assert plugin.name == "guest_package"
    assert "packaged" in STRATEGIES
    (package / "data.txt").write_text("x")
    source_digest.cache_clear()
    assert load_plugin("guest_package.strategies").digest != plugin.digest


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\nx / 0\n")
    assert (
        "ZeroDivisionError: division by zero (broken.py:2)"
        in refused("plugin.broken", load_plugin, broken).message
    )
    broken.write_text("def f(:\n")
    assert "SyntaxError" in refused("plugin.broken", load_plugin, broken).message
    broken.write_text("raise SystemExit(3)")
    assert "SystemExit" in refused("plugin.broken", load_plugin, broken).message
    for line in ("from . import other", "import other_of_this_folder"):
        broken.write_text(line)
        assert "a file stands alone" in str(refused("plugin.broken", load_plugin, broken).hint)
    refused("plugin.not-found", load_plugin, tmp_path / "none.py")
    refused("plugin.not-found", load_plugin, "no_such_module_anywhere")
    refused("plugin.not-found", load_plugin, "no_such_module_anywhere.inside")
    refused("plugin.not-found", load_plugin, "..")


def test_a_taken_name_is_refused_with_both_origins(tmp_path: Path) -> None:
    file, other = tmp_path / "one.py", tmp_path / "two.py"
    file.write_text(STRATEGY.format(name="greedy"))
    found = refused("mapping.duplicate-strategy", load_plugin, file)
    assert "(of cimc); one brings another one" in found.message
    file.write_text(STRATEGY.format(name="mine"))
    other.write_text(STRATEGY.format(name="mine"))
    load_plugin(file)
    found = refused("mapping.duplicate-strategy", load_plugin, other)
    assert "(of one); two brings another one" in found.message


def test_what_a_plugin_does_wrong_is_its_own_error(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(
        "import cimc\n@cimc.register_strategy('bad')\ndef bad(problem, /, *, seed):\n    return 1 / 0\n"
        "@cimc.register_strategy('none')\ndef none(problem, /, *, seed):\n    pass\n"
        "@cimc.register_strategy('ends')\ndef ends(problem, /, *, seed):\n    raise SystemExit(0)\n"
    )
    load_plugin(file)
    found = refused("plugin.failed", solve, problem(), "bad")
    assert found.message == (
        "placement strategy `bad` of bad failed: ZeroDivisionError: division by zero (bad.py:4)"
    )
    assert isinstance(found.__cause__, ZeroDivisionError)
    assert "AttributeError" in refused("plugin.failed", solve, problem(), "none").message
    assert "SystemExit: 0 (bad.py:10)" in refused("plugin.failed", solve, problem(), "ends").message


def test_a_bug_of_cimc_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(problem: PlacementProblem, /, *, seed: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(broken, "__module__", "cimc.mapping.broken")
    STRATEGIES.register("broken", broken)  # type: ignore[call-overload]
    with pytest.raises(ZeroDivisionError):
        solve(problem(), "broken")


def test_another_process_gets_the_same_plugins_or_none(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(STRATEGY.format(name="mine"))
    plugin = load_plugin(file)
    load_again([(str(file), plugin)])
    file.write_text(STRATEGY.format(name="mine") + "\n")
    refused("plugin.changed", load_again, [(str(file), plugin)])


# -- installed ones -----------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of modules in which distributions can be installed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed_module.forget_installed()
    yield tmp_path
    installed_module.forget_installed()


def install(site: Path, name: str, version: str, module: str, source: str, *points: str) -> None:
    """A distribution of one module."""
    (site / f"{module}.py").write_text(source)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[cimc.test]\n" + "\n".join(points) + "\n")
    installed_module.forget_installed()


def things() -> Registry[Strategy]:
    return Registry("thing", {"own": "os.path:join"}, group="cimc.test")


def test_installed_plugins_are_listed_and_imported_only_when_used(site: Path) -> None:
    install(site, "guest-a", "1.2", "guest_a", "def thing(): pass\n", "a = guest_a:thing")
    install(site, "guest-b", "0.1", "guest_b", "1 / 0\n", "b = guest_b:thing")
    registry = things()
    assert registry.names() == ("a", "b", "own")
    assert registry.origin("a") == "guest-a 1.2"
    assert registry.in_order() == (registry["own"],)
    assert not {"guest_a", "guest_b"} & set(sys.modules)
    used: dict[Origin, None] = {}
    with noting(used):
        assert registry["a"].__module__ == "guest_a"
    (plugin,) = records(used)
    assert plugin == Plugin("guest-a", "1.2", plugin.digest)
    assert len(plugin.digest) == 64
    assert registry.at_rest() == ("b",)
    assert [each.__name__ for each in registry.in_order(["a"])] == ["thing", "join"]  # type: ignore[attr-defined]
    found = refused("plugin.unfit", registry.__getitem__, "b")
    assert (
        "of guest-b 0.1 cannot be used: ZeroDivisionError: division by zero (guest_b.py:1)" in found.message
    )


def test_installed_plugins_that_claim_one_name_are_refused_where_it_is_used(site: Path) -> None:
    source = "def thing(): pass\n"
    install(site, "guest-c", "1", "guest_c", source, "twice = guest_c:thing", "own = guest_c:thing")
    install(site, "guest-d", "2", "guest_d", source, "twice = guest_d:thing", "free = guest_d:thing")
    registry = things()
    assert registry["free"].__module__ == "guest_d"
    for name, first, second in (("twice", "guest-c 1", "guest-d 2"), ("own", "cimc", "guest-c 1")):
        found = refused("plugin.duplicate", registry.__getitem__, name)
        assert f"`{name}` (of {first}); {second} brings another one" in found.message
