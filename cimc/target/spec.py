"""The target description: ``system > chip > tile > array``, validated and frozen.

A :class:`Target` says what the machine is (structure: integers and enumerations) and what it costs
(:class:`Constant`: a value with unit, source and basis).  Structural figures carry their source too, in
``Target.provenance``, so that no number reaches a report without saying where it is from.
``docs/targets.md`` explains every field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

from cimc.support.shown import Shown, counted
from cimc.target import cell_encoding
from cimc.target.cell_encoding import Encoding, PhasePlan, SignedScheme
from cimc.target.ports import completed, wrong_ports
from cimc.target.routes import nearest

if TYPE_CHECKING:
    from cimc.target.machine_graph import MachineGraph

Basis = Literal["measured", "simulated", "derived", "scaled", "assumed"]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Count = Annotated[int, Field(strict=True, ge=1, le=1 << 40)]
Capacity = Annotated[int, Field(strict=True, ge=0, le=1 << 48)]  # bytes; 0 = the machine has none
Line = Annotated[int, Field(strict=True, ge=1, le=1 << 16)]  # word lines, bit lines, tiles along a side
Real = Annotated[float, Field(strict=True, ge=0.0, allow_inf_nan=False)]
Coordinate = Annotated[int, Field(strict=True, ge=0)]


class Spec(BaseModel):
    """Base of every part: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Constant(Spec):
    """A physical figure and where it comes from; ``float(c)`` is its value in ``unit``."""

    value: Real
    unit: Text
    source: Text
    basis: Basis
    note: str | None = None

    def __float__(self) -> float:
        return self.value


def _in_unit(unit: str, *, positive: bool = False) -> Callable[[Constant], Constant]:
    """A validator: the constant is given in ``unit`` and, if ``positive``, is not zero."""

    def check(constant: Constant) -> Constant:
        if constant.unit != unit:
            raise ValueError(f"must be given in {unit}, not in {constant.unit}")
        if positive and constant.value == 0.0:
            raise ValueError("must be greater than 0")
        return constant

    return check


Time = Annotated[Constant, AfterValidator(_in_unit("ns"))]
StepTime = Annotated[Constant, AfterValidator(_in_unit("ns", positive=True))]
Energy = Annotated[Constant, AfterValidator(_in_unit("pJ"))]
BitEnergy = Annotated[Constant, AfterValidator(_in_unit("pJ/b"))]
HopEnergy = Annotated[Constant, AfterValidator(_in_unit("pJ/b/hop"))]
Rate = Annotated[Constant, AfterValidator(_in_unit("Gb/s", positive=True))]
Area = Annotated[Constant, AfterValidator(_in_unit("mm2"))]
StaticPower = Annotated[Constant, AfterValidator(_in_unit("mW"))]


def _described(part: Spec, size: str, rest: tuple[str, ...], further: tuple[str, ...] = ()) -> None:
    """An optional memory is given with all of its figures, or not at all; ``further`` ones may be missing."""
    given = [name for name in rest if getattr(part, name)]
    if getattr(part, size) and len(given) < len(rest):
        missing = next(name for name in rest if name not in given)
        raise ValueError(f"{size} needs {missing} beside it")
    given += [name for name in further if getattr(part, name)]
    if given and not getattr(part, size):
        raise ValueError(f"{given[0]} needs {size} beside it")


class Array(Spec):
    """One crossbar with its DACs and ADCs.  A *step* drives the rows once and converts some columns."""

    rows: Line = Field(description="word lines that hold a weight row each")
    physical_rows: Line = Field(description="word lines of the silicon; a multiple of rows")
    cols: Line = Field(description="weight columns: cells of one slice per row")
    encoding: Encoding = Field(description="how a cell holds a digit")
    cell_levels: int = Field(strict=True, ge=2, le=128, description="levels L of one device")
    dac_bits: int = Field(strict=True, ge=1, le=8, description="input bits driven in one phase")
    adc_bits: int = Field(strict=True, ge=1, le=16, description="bits of one conversion")
    adc_min_lsb: Count = Field(description="finest ADC step, in cell levels x input levels")
    adc_max_lsb: Count = Field(description="coarsest ADC step")
    columns_per_step: Line = Field(description="columns converted in one step")
    signed_inputs: SignedScheme = Field(description="how signed activations are driven")
    gate_unused_adc: StrictBool = Field(description="whether an idle ADC channel costs nothing")
    step_ns: StepTime = Field(description="duration of one step")
    row_pj: Energy = Field(description="energy per driven row and step")
    conversion_pj: Energy = Field(description="energy per converted ADC channel and step")
    step_pj: Energy = Field(description="energy per step whatever is driven or converted")
    area_mm2: Area = Field(description="one array with its converters and registers")
    converters: Capacity = Field(0, description="ADCs of the array, for laws of scaling; 0 = not known")
    row_cells_pj: Energy | None = Field(None, description="part of row_pj that grows with columns")
    row_dac_pj: Energy | None = Field(None, description="part of row_pj that is the DAC's")
    step_dac_pj: Energy | None = Field(None, description="part of step_pj that is the DACs'")
    step_converters_pj: Energy | None = Field(None, description="part of step_pj behind the converters")
    settle_ns: Time | None = Field(None, description="part of step_ns before or beside conversion")
    converters_mm2: Area | None = Field(None, description="part of area_mm2 that is the converters'")
    static_mw: StaticPower | None = Field(None, description="always on: its converters and drivers")

    @model_validator(mode="after")
    def _consistent(self) -> Array:
        if self.physical_rows % self.rows:
            raise ValueError(f"physical_rows {self.physical_rows} is not a multiple of rows {self.rows}")
        if self.cols % self.columns_per_step:
            raise ValueError(
                f"cols {self.cols} is not a multiple of columns_per_step {self.columns_per_step}"
            )
        if self.adc_min_lsb > self.adc_max_lsb:
            raise ValueError(f"adc_min_lsb {self.adc_min_lsb} exceeds adc_max_lsb {self.adc_max_lsb}")
        if self.encoding == "offset" and self.signed_inputs == "native":
            raise ValueError("signed_inputs native needs differential cells, whose converters are signed")
        if self.encoding == "differential" and self.adc_bits < 2:
            raise ValueError("a differential array needs a signed ADC of at least 2 bits")
        return self

    @model_validator(mode="after")
    def _parts(self) -> Array:
        for whole, parts in (
            ("row_pj", ("row_cells_pj", "row_dac_pj")),
            ("step_pj", ("step_dac_pj", "step_converters_pj")),
            ("step_ns", ("settle_ns",)),
            ("area_mm2", ("converters_mm2",)),
        ):
            total = sum(float(figure) for name in parts if (figure := getattr(self, name)) is not None)
            if total > float(getattr(self, whole)) * 1.001:
                raise ValueError(f"{' and '.join(parts)} are more than {whole}, whose parts they are")
        return self

    @property
    def digit_bounds(self) -> tuple[int, int]:
        """Smallest and largest digit of a cell."""
        high = self.cell_levels - 1
        return (0 if self.encoding == "offset" else -high), high

    @property
    def adc_codes(self) -> tuple[int, int]:
        """Smallest and largest ADC code: unsigned for ``offset``, two's complement for ``differential``."""
        if self.encoding == "offset":
            return 0, (1 << self.adc_bits) - 1
        return -(1 << (self.adc_bits - 1)), (1 << (self.adc_bits - 1)) - 1

    def conversions(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Conversions that take energy when so many cell columns are converted once; same shape.

        Those of the columns, where idle converters can be gated, else those of whole steps.
        """
        if self.gate_unused_adc:
            return columns
        return -(-columns // self.columns_per_step) * self.columns_per_step

    def partial_sum_bound(self, rows: int | None = None, phase_width: int | None = None) -> int:
        """Largest magnitude of a column sum with ``rows`` rows driven at a ``phase_width``-bit code."""
        rows = self.rows if rows is None else rows
        width = self.dac_bits if phase_width is None else phase_width
        return rows * (self.cell_levels - 1) * ((1 << width) - 1)

    def lossless_lsb(self, bound: int) -> int:
        """Finest permitted LSB with which column sums up to +/-``bound`` do not leave the codes.

        May exceed ``adc_max_lsb``: then the bound cannot be covered, and the caller must say so.
        """
        return max(self.adc_min_lsb, -(-bound // self.adc_codes[1]))


class Tile(Spec):
    """Arrays around a scratchpad, a vector unit (fp32) and a router port."""

    arrays: Line = Field(description="arrays in a tile")
    scratchpad_bytes: Count = Field(description="capacity of the tile's buffer")
    vector_lanes: Line = Field(description="fp32 lanes of the vector unit")
    vector_op_ns: StepTime = Field(description="time of one operation on all lanes")
    vector_op_pj: Energy = Field(description="energy per lane and operation")
    vector_lane_mm2: Area | None = Field(None, description="area of a lane, where area_mm2 has none")
    scratchpad_pj_per_bit: BitEnergy = Field(description="energy to read or write the scratchpad")
    bus_pj_per_bit: BitEnergy = Field(description="energy between scratchpad and arrays")
    bus_gbps: Rate = Field(description="rate of that bus")
    shift_add_pj: Energy = Field(description="energy per 16-bit shift-and-add behind an ADC")
    requantise_pj: Energy = Field(description="energy per value scaled and rounded to 8 bits")
    router_pj_per_bit_hop: HopEnergy = Field(description="energy per bit and router passed")
    hop_ns: Time = Field(description="latency per hop of the mesh, unloaded")
    link_gbps: Rate = Field(description="rate of one mesh link in one direction")
    area_mm2: Area = Field(description="a tile without its arrays, its share of the router included")
    scratchpad_mm2: Area | None = Field(None, description="part of area_mm2 that is the scratchpad's")
    scratchpad_static_mw: StaticPower | None = Field(None, description="always on: the scratchpad")
    vector_lane_static_mw: StaticPower | None = Field(None, description="always on: one lane")
    router_static_mw: StaticPower | None = Field(None, description="always on: router, clock included")
    clock_mw: StaticPower | None = Field(None, description="always on: clock and control, the rest")
    table_sram_bytes: Capacity = Field(0, description="option: SRAM for rows of tables; 0 = none")
    table_sram_ns: StepTime | None = Field(None, description="time of one access to it, one row")
    table_sram_mm2: Area | None = Field(None, description="its area, counted where a program uses it")
    table_sram_static_mw: StaticPower | None = Field(None, description="always on where a program uses it")

    @model_validator(mode="after")
    def _table_sram_described(self) -> Tile:
        _described(self, "table_sram_bytes", ("table_sram_ns", "table_sram_mm2"), ("table_sram_static_mw",))
        return self


class Chip(Spec):
    """A mesh of tiles; ``ports`` are the tiles at which the lanes of the links that leave the chip end.

    The link is one for all of them: what a port adds is the way into the mesh.  DRAM hangs at the first one.
    """

    mesh: tuple[Line, Line] = Field(description="tiles across and down")
    ports: tuple[tuple[Coordinate, Coordinate], ...] = Field(
        description="tiles (x, y) whose routers reach the host link; a number is spread over the edge"
    )
    host_link: Text = Field("unnamed", description="name of the links to host and other chips")
    host_link_pj_per_bit: BitEnergy = Field(description="energy on these links beyond what they always take")
    host_link_gbps: Rate = Field(description="rate of the links of one chip together")
    host_link_ns: Time = Field(description="latency of one crossing")
    host_link_static_mw: StaticPower | None = Field(None, description="always on: these links of one chip")
    area_mm2: Area = Field(description="what a chip has beside its tiles")
    dram_bytes: Capacity = Field(0, description="option: DRAM at the first port for tables; 0 = none")
    dram_burst_bytes: Capacity = Field(0, description="bytes that one access moves at least")
    dram_pj_per_bit: BitEnergy | None = Field(None, description="energy to read it, device and interface")
    dram_gbps: Rate | None = Field(None, description="rate of all its channels together")
    dram_ns: Time | None = Field(None, description="latency of one access, unloaded")
    dram_static_mw: StaticPower | None = Field(
        None, description="refresh and standby, where a program uses it"
    )

    @model_validator(mode="before")
    @classmethod
    def _ports_by_number(cls, data: Any) -> Any:
        if isinstance(data, dict) and "ports" in data:
            return {**data, "ports": completed(data["ports"], data.get("mesh"))}
        return data

    @model_validator(mode="after")
    def _ports_on_the_mesh(self) -> Chip:
        why = wrong_ports(self.ports, self.mesh)
        if why:
            raise ValueError(why)
        return self

    @model_validator(mode="after")
    def _dram_described(self) -> Chip:
        rest = ("dram_burst_bytes", "dram_pj_per_bit", "dram_gbps", "dram_ns")
        _described(self, "dram_bytes", rest, ("dram_static_mw",))
        return self


class System(Spec):
    """Equal chips behind one host."""

    chips: Line = Field(description="number of chips")


class OperatingPoint(Spec):
    """A published setting of the array; the one marked ``default`` is what ``array`` states."""

    name: Text
    default: StrictBool = False
    dac_bits: int = Field(strict=True, ge=1, le=8)
    adc_bits: int = Field(strict=True, ge=1, le=16)
    step_ns: StepTime
    step_pj: Energy


class Provenance(Spec):
    """Where structural figures come from; a path covers everything below it, the longest path wins."""

    paths: tuple[Text, ...] = Field(min_length=1)
    source: Text
    basis: Basis


class Target(Shown, Spec):
    """A whole machine.  Tiles are numbered chip by chip, and row by row inside a chip."""

    format_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.+-]{0,63}$")]
    title: Text
    description: Text
    array: Array
    tile: Tile
    chip: Chip
    system: System
    operating_points: tuple[OperatingPoint, ...] = ()
    provenance: tuple[Provenance, ...]

    def _brief(self) -> str:
        array, mesh = self.array, "x".join(str(n) for n in self.chip.mesh)
        return (
            f"{self.name}: {counted(self.system.chips, 'chip')} of {mesh} tiles, "
            f"{counted(self.tile.arrays, 'array')} of {array.rows} x {array.cols} cells each"
        )

    @model_validator(mode="after")
    def _sourced(self) -> Target:
        known = {path for path, _ in self.structure()}
        parents = {path.split(".")[0] for path in known}
        for entry in self.provenance:
            for path in entry.paths:
                if path not in known and path not in parents:
                    raise ValueError(f"provenance names {path!r}, which is no structural field")
        missing = [path for path in sorted(known) if self.origin(path) is None]
        if missing:
            raise ValueError(f"provenance gives no source for {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _default_point_agrees(self) -> Target:
        if not self.operating_points:
            return self
        names = [point.name for point in self.operating_points]
        if len(set(names)) != len(names):
            raise ValueError("operating_points repeat a name")
        chosen = [point for point in self.operating_points if point.default]
        if len(chosen) != 1:
            raise ValueError(f"operating_points: exactly one must be the default, not {len(chosen)}")
        point = chosen[0]
        for key in ("dac_bits", "adc_bits"):
            if getattr(point, key) != getattr(self.array, key):
                raise ValueError(f"array.{key} differs from the default operating point {point.name!r}")
        for key in ("step_ns", "step_pj"):
            if float(getattr(point, key)) != float(getattr(self.array, key)):
                raise ValueError(f"array.{key} differs from the default operating point {point.name!r}")
        return self

    # -- sources ------------------------------------------------------------------------------------

    def structure(self) -> list[tuple[str, Any]]:
        """Structural fields as (path, value): everything of the machine that is not a Constant."""
        return [(path, value) for path, value, _ in self.fields() if not isinstance(value, Constant)]

    def fields(self) -> list[tuple[str, Any, str]]:
        """All fields of the machine as (path, value, description), in the order of the model.

        Options that the machine does not have are left out.
        """
        found = []
        for part in ("array", "tile", "chip", "system"):
            spec: Spec = getattr(self, part)
            for name, info in type(spec).model_fields.items():
                value = getattr(spec, name)
                if info.is_required() or value != info.default:
                    found.append((f"{part}.{name}", value, info.description or ""))
        return found

    def origin(self, path: str) -> Provenance | None:
        """Source of the structural field ``path``: the longest covering entry, the last of equals."""
        best: tuple[int, Provenance] | None = None
        for entry in self.provenance:
            for covered in entry.paths:
                covers = path == covered or path.startswith(covered + ".")
                if covers and (best is None or len(covered) >= best[0]):
                    best = (len(covered), entry)
        return best[1] if best else None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON of the whole description: sorted keys, no spaces."""
        text = json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()

    # -- size ---------------------------------------------------------------------------------------

    @property
    def tiles_per_chip(self) -> int:
        """Tiles of one chip."""
        return self.chip.mesh[0] * self.chip.mesh[1]

    @property
    def n_tiles(self) -> int:
        """Tiles of the system."""
        return self.system.chips * self.tiles_per_chip

    @property
    def n_arrays(self) -> int:
        """Arrays of the system."""
        return self.n_tiles * self.tile.arrays

    @property
    def area_mm2(self) -> float:
        """Area of the system in mm2: arrays, tiles with their lanes, and what each chip has beside them."""
        lanes = 0.0 if self.tile.vector_lane_mm2 is None else float(self.tile.vector_lane_mm2)
        tile = float(self.tile.area_mm2) + self.tile.vector_lanes * lanes
        tile += self.tile.arrays * float(self.array.area_mm2)
        return self.system.chips * (float(self.chip.area_mm2) + self.tiles_per_chip * tile)

    # -- geometry -----------------------------------------------------------------------------------

    def coordinates(self, tile: int) -> tuple[int, int, int]:
        """(chip, x, y) of a tile; raises ``IndexError`` for a tile the system does not have."""
        if not 0 <= tile < self.n_tiles:
            raise IndexError(f"tile {tile} outside 0..{self.n_tiles - 1}")
        chip, local = divmod(tile, self.tiles_per_chip)
        y, x = divmod(local, self.chip.mesh[0])
        return chip, x, y

    def port_tile(self, chip: int, port: int) -> int:
        """The tile at which a port of ``chip`` is."""
        x, y = self.chip.ports[port]
        return chip * self.tiles_per_chip + y * self.chip.mesh[0] + x

    def nearest_port(self, tile: int) -> int:
        """The port of its chip that a tile uses: the one with the fewest hops, of equals the first."""
        _, x, y = self.coordinates(tile)
        return nearest(self.chip.ports, (x, y))

    def gate(self, tile: int) -> int:
        """The tile of the port that ``tile`` uses (:meth:`nearest_port`)."""
        return self.port_tile(self.coordinates(tile)[0], self.nearest_port(tile))

    def port_hops(self, tile: int) -> int:
        """Mesh hops between a tile and the port that it uses."""
        return self.hops(tile, self.gate(tile))

    def crosses_chips(self, a: int, b: int) -> bool:
        """Whether traffic between two tiles leaves the chip (one host-link crossing)."""
        return self.coordinates(a)[0] != self.coordinates(b)[0]

    def hops(self, a: int, b: int) -> int:
        """Mesh hops between two tiles (XY routing); between chips, by way of the ports that both use."""
        chip_a, xa, ya = self.coordinates(a)
        chip_b, xb, yb = self.coordinates(b)
        if chip_a != chip_b:
            return self.port_hops(a) + self.port_hops(b)
        return abs(xa - xb) + abs(ya - yb)

    def graph(self, chips: int | None = None) -> MachineGraph:
        """What is joined to what, and how fast, for networkx: :mod:`cimc.target.machine_graph`.

        Args:
            chips: of the equal chips only the first so many; all if absent.
        """
        from cimc.target.machine_graph import Way, machine_graph

        tile, chip, ram = self.tile, self.chip, None
        if chip.dram_gbps and chip.dram_ns and chip.dram_pj_per_bit:
            ram = Way(float(chip.dram_gbps), float(chip.dram_ns), float(chip.dram_pj_per_bit))
        link = Way(float(tile.link_gbps), float(tile.hop_ns), float(tile.router_pj_per_bit_hop))
        host = Way(float(chip.host_link_gbps), float(chip.host_link_ns), float(chip.host_link_pj_per_bit))
        has = {"arrays": tile.arrays, "vector_lanes": tile.vector_lanes, "bus_gbps": float(tile.bus_gbps)}
        count = self.system.chips if chips is None else chips
        return machine_graph(self.name, self.digest, count, chip.mesh, chip.ports, has, link, host, ram)

    # -- number formats -----------------------------------------------------------------------------

    def slices(self, weight_bits: int) -> int:
        """Cells per weight; see :func:`cimc.target.cell_encoding.slices_for`."""
        return cell_encoding.slices_for(self.array.encoding, self.array.cell_levels, weight_bits)

    def max_weight(self, weight_bits: int) -> int:
        """Largest representable weight magnitude; see :func:`cimc.target.cell_encoding.max_weight`."""
        return cell_encoding.max_weight(self.array.encoding, self.array.cell_levels, weight_bits)

    def phase_plan(self, bits: int, signed: bool) -> PhasePlan:
        """How activations are driven; see :func:`cimc.target.cell_encoding.phase_plan`."""
        return cell_encoding.phase_plan(bits, signed, self.array.dac_bits, self.array.signed_inputs)

    def input_phases(self, bits: int, signed: bool) -> int:
        """Number of input phases of an activation."""
        return len(self.phase_plan(bits, signed).phases)

    def weights_per_row(self, weight_bits: int) -> int:
        """Whole weights that one array row holds."""
        return self.array.cols // self.slices(weight_bits)

    def weight_capacity(self, weight_bits: int) -> int:
        """Weights that the system's arrays hold when every column is used."""
        return self.n_arrays * self.array.rows * self.weights_per_row(weight_bits)
