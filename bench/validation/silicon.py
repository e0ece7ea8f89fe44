"""The nearest silicon that was measured at the same use."""

from __future__ import annotations

import cimc
from bench.validation.noise_model import MODELS, load
from bench.validation.rows import Row, Section

SOURCE = (
    "28 nm SRAM CIM-CAM processor, VLSI 2024 (10.1109/VLSITechnologyandCir46783.2024.10631368), abstract: "
    "12.3 to 56.1 nJ a recommendation request"
)
MOST = 56.1
WHY = "another memory, another model"


def section() -> Section:
    """Energy of a request of ``dlrm_small``."""
    requests, calib = load("requests"), load("calib")
    rows = []
    for preset in ("tsinghua28", "asscc28"):
        cost = cimc.compile(MODELS / "dlrm_small.onnx", preset, calib).run(requests, "exact").cost
        bound = cost.energy_at_pj(cost.throughput_rps)
        assert bound is not None
        for what, pj in (
            ("arrays and converters", cost.array_energy_pj),
            ("all dynamic", cost.energy_pj),
            ("with static power at the bound on throughput", bound),
        ):
            name = f"`{preset}`, `dlrm_small`: {what}, nJ a request"
            rows.append(Row(name, pj * 1e-3, MOST, None, SOURCE, reason=WHY))
    about = (
        "No RRAM chip is known to have published the energy of a recommendation request. The nearest "
        "measured one has SRAM macros and a content-addressable memory; its models, precision, tables and "
        "what its figure includes are not in the abstract. Ours has 50 lookups in 26 tables of 120,101 rows "
        "and 29,000 MACs a request, 4-bit cells of RRAM with their converters, and a host link. So the ratio "
        "to the larger end of its range says where ours stands, and not whether it is right."
    )
    return Section("The nearest measured silicon", about, tuple(rows))
