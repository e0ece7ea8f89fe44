"""Passes that let the user choose an object by name, and take the options of what is chosen as their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple, Self

from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import ArgSpec

from cimc.errors import PassError
from cimc.support.keyword_options import keyword_options
from cimc.support.registry import Registry
from cimc.transforms.renamed import OPTIONS as OLD_OPTIONS

Scalar = int | float | bool | str


class Choice(NamedTuple):
    """A field of a pass that names an object of a registry.

    Attributes:
        field: the field.
        registry: where its value is looked up.
        prefix: begins the names of its options, where the pass has several choices.
        none: a value that chooses nothing.
    """

    field: str
    registry: Registry[Any]
    prefix: str = ""
    none: str | None = None


@dataclass(frozen=True)
class ChoosingPass(ModulePass):
    """A pass whose options are its fields and those of the objects that ``choices`` name.

    ``place{strategy=ortools eps=0.1}``: ``eps`` is an option of ``ortools``.  They are checked when the pass
    is made, and printed and parsed like all others; those not given are not spelled out.

    Attributes:
        options: options of what is chosen, as (name, value) in alphabetical order.

    Raises:
        PassError: ``mapping.unknown-strategy``, ``mapping.unknown-option``, ``mapping.bad-option``;
            ``plugin.unfit`` where an option of what is chosen is called as another one of the pass.
    """

    choices: ClassVar[tuple[Choice, ...]] = ()
    options: tuple[tuple[str, Scalar], ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(sorted(self.options)))
        mine = sorted(own_options(type(self)))
        for choice in self.choices:
            given, chosen = self.chosen_options(choice.field), getattr(self, choice.field)
            if chosen == choice.none:
                if given:
                    raise PassError(
                        "mapping.unknown-option",
                        f"{choice.field}={chosen} has no option `{next(iter(given))}`",
                        hint=f"options of '{self.name}': {', '.join(mine)}",
                    )
                continue
            function = choice.registry[chosen]
            for option in keyword_options(function):
                if why := self._hidden(choice.prefix, option):
                    raise PassError("plugin.unfit", f"`{chosen}` has an option `{option}`, which {why}")
            choice.registry.check_options(chosen, given, f"; of pass '{self.name}': {', '.join(mine)}")

    def _hidden(self, prefix: str, option: str) -> str | None:
        """Why nobody could give ``option`` of what the choice with ``prefix`` names, or None."""
        written = prefix + option
        if written in own_options(type(self)):
            return f"is one of pass '{self.name}' already"
        if now := OLD_OPTIONS.get(self.name, {}).get(written):
            return f"is the old name of `{now}` of pass '{self.name}'"
        for other in self.choices:
            if len(other.prefix) > len(prefix) and written.startswith(other.prefix):
                return f"would be one of what `{other.field}` of pass '{self.name}' names"
        return None

    def chosen_options(self, name: str) -> dict[str, Any]:
        """The options given to what the field ``name`` chooses."""
        prefix = next(choice.prefix for choice in self.choices if choice.field == name)
        longer = tuple(c.prefix for c in self.choices if len(c.prefix) > len(prefix))
        return {
            key.removeprefix(prefix): value
            for key, value in self.options
            if key.startswith(prefix) and not (longer and key.startswith(longer))
        }

    def with_chosen(self, option: str, value: Scalar) -> Self:
        """This pass with another value of an option of what is chosen."""
        return replace(self, options=tuple({**dict(self.options), option: value}.items()))

    @classmethod
    def from_spec(cls, spec: ArgSpec) -> Self:
        """The pass that ``spec`` describes."""
        given, own = spec.normalize_parameter_names().parameters, own_options(cls)
        fitting = ArgSpec(spec.name, {name: value for name, value in given.items() if name in own})
        made = dict(fitting.parameters)
        others = {name: value for name, value in given.items() if name not in made}
        for name, value in others.items():
            if len(value) != 1:
                raise ValueError(f'"{name}" takes one value')
        base = super().from_spec(fitting)
        return replace(base, options=tuple((name, value[0]) for name, value in others.items()))

    def spec(self, *, include_default: bool = False) -> ArgSpec:
        """The inverse of :meth:`from_spec`."""
        spec = super().spec(include_default=include_default)
        parameters: Mapping[str, Any] = {n: v for n, v in spec.parameters.items() if n != "options"}
        return ArgSpec(spec.name, {**parameters, **{name: (value,) for name, value in self.options}})


def own_options(of: type[ModulePass]) -> set[str]:
    """The names of the options that a class of passes has itself."""
    return {f.name for f in fields(of)} - ({"options"} if issubclass(of, ChoosingPass) else set())
