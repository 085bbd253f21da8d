# SPDX-License-Identifier: Apache-2.0
"""A small engine with faults at its pins that tests switch on, one at a time, in one build.

Each fault replaces an expression of the top module. A write of its number to an address without a
register switches it on; it then stays, also through resets.
"""

import re

from ecoformer.spec.config import Config
from tests.emitted import emitted

__all__ = ["CONFIG", "FAULTS", "SWITCH", "broken", "switchable"]

CONFIG = Config(
    head_dim=2, value_dim=3, code_bits=3, anchors=2, max_tokens=4, cycles_per_token=4,
    parameter_sets=2, bus_bytes=2, tuser_width=2, output_width=8, output_fraction=3,
)
"""The smallest engine with several beats per token, padding, and more than one set."""
SWITCH = (0xFC, 0x4D555400)
"""Address, and what is added to the number of a fault."""

HOOKS = {
    "ready": r"assign s_axis_tready = (i__ready & aresetn);",
    "valid": r"assign m_axis_tvalid = (o__valid & aresetn);",
    "data": r"assign m_axis_tdata = (o__payload\[15:0\]);",
    "last": r"assign m_axis_tlast = (o__payload\[16\]);",
    "user": r"assign m_axis_tuser = (o__payload\[19:17\]);",
    "events": r"= aresetn \? (\\events\$\d+ ) : 10'h000;",
    "abort": r"\.abort\((soft_reset)\)",
    "commit": r"\.commit\((commit)\),\s+\.events\(\\",
    "free": r"\.shadow_ready\((shadow_ready)\),\s+\.soft_reset",
    "enable": r"\.i__enable\((write__enable)\)",
    "address": r"\.\\port\$\S+ \((\{ write__region, write__row, write__word \})\)",
    "awready": r"assign s_axil_awready = (bus__awready & aresetn);",
    "wready": r"assign s_axil_wready = (bus__wready & aresetn);",
    "payload": r"\.i__payload\(\{ s_axis_tuser, s_axis_tlast, (s_axis_tdata) \}\)",
    "strobe": r"\.bus__wstrb\((s_axil_wstrb)\)",
    "rready": r"\.bus__rready\((s_axil_rready)\)",
    "rdata": r"assign s_axil_rdata = (rdata);",
    "bresp": r"assign s_axil_bresp = (bresp);",
    "irq": r"assign irq = (irq_);",
}
"""Where a fault may be: a pattern of the top module, its group the expression that is replaced."""
RENAMED = {"bus__rdata(s_axil_rdata)": "rdata", "bus__bresp(s_axil_bresp)": "bresp",
           "irq(irq)": "irq_"}
"""Outputs of the registers that get a name of their own, so that a fault can change the pin."""

EXTRA = """
  wire [31:0] rdata;
  wire [1:0] bresp;
  wire irq_;
  assign s_axil_rdata = rdata;
  assign s_axil_bresp = bresp;
  assign irq = irq_;
  reg [7:0] fault, read_address;
  reg stalled, amid;
  reg [4:0] beats;
  initial fault = 8'd0;
  wire stall = m_axis_tvalid & ~m_axis_tready;
  always @(posedge aclk) begin
    stalled <= aresetn & stall;
    if (s_axil_awvalid & s_axil_awready & s_axil_wvalid & s_axil_awaddr == 8'hfc
        & s_axil_wdata[31:8] == 24'h4d5554)
      fault <= s_axil_wdata[7:0];
    if (s_axil_arvalid & s_axil_arready) read_address <= s_axil_araddr;
    if (!aresetn) begin amid <= 1'b0; beats <= 5'd0; end
    else if (m_axis_tvalid & m_axis_tready) begin
      amid <= ~m_axis_tlast;
      beats <= beats + 5'd1;
    end
  end
endmodule
"""

FAULTS = {
    "no beat is taken": ("ready", "1'b0"),
    "beats are taken and lost": ("ready", "aresetn"),
    "results never end": ("valid", "aresetn"),
    "no result": ("valid", "1'b0"),
    "valid falls": ("valid", "o__valid & aresetn & ~stalled"),
    "valid in reset": ("valid", "o__valid | ~aresetn"),
    "data change": ("data", "o__payload[15:0] ^ {16{stalled}}"),
    "tuser changes": ("user", "o__payload[19:17] ^ {2'b0, amid}"),
    "a bit is wrong": ("data", "o__payload[15:0] ^ {15'b0, &beats}"),
    "padding is not zero": ("data", "o__payload[15:0] | {amid, 15'b0}"),
    "an error answer is not zero": ("data", "o__payload[15:0] | {15'b0, o__payload[19]}"),
    "the error bit is lost": ("user", "{1'b0, o__payload[18:17]}"),
    "the set is lost": ("user", "{o__payload[19], 2'b0}"),
    "tlast is always there": ("last", "1'b1"),
    "counters are swapped": (
        "events", "{@[9:2], @[0], @[1]}"
    ),
    "a soft reset is lost": ("abort", "1'b0"),
    "every write is a soft reset": ("abort", "s_axil_awvalid & s_axil_awready"),
    "COMMIT is lost": ("commit", "1'b0"),
    "the last word is a COMMIT": ("commit", "commit | (write__enable & write__region == 4)"),
    "the shadow is always free": ("free", "1'b1"),
    "no parameter is written": ("enable", "1'b0"),
    "a parameter goes elsewhere": ("address", "{ write__region, write__row, 12'd0 }"),
    "rows that do not exist are others": (
        "address", "{ write__region, write__row & 16'h7fff, write__word }"
    ),
    "a second address is lost": ("awready", "aresetn"),
    "a second word is lost": ("wready", "aresetn"),
    "padding is read": ("payload", "s_axis_tdata ^ {8'b0, {8{s_axis_tdata[15]}}}"),
    "strobes are ignored": ("strobe", "4'hf"),
    "an answer is not held": ("rready", "1'b1"),
    "a constant is wrong": ("rdata", "rdata ^ {31'b0, read_address == 8'h1c}"),
    "a counter is stuck": ("rdata", "read_address == 8'h70 ? 32'd0 : rdata"),
    "nothing is refused": ("bresp", "2'b00"),
    "no interrupt": ("irq", "1'b0"),
    "interrupts of their own": ("irq", "irq_ | (m_axis_tvalid & m_axis_tuser[2])"),
}
"""Faults by name: where, and the expression that is there instead, in which @ stands for the right
one. Numbered from 1, in order."""


def switchable():
    """Verilog of the engine of :data:`CONFIG` with every fault, switched off."""
    faults = {name: [] for name in HOOKS}
    for number, (hook, wrong) in enumerate(FAULTS.values(), 1):
        faults[hook].append((f"fault == 8'd{number}", wrong))
    return _replaced(faults)


def broken(hook, wrong):
    """Verilog of the same engine with one expression replaced for good."""
    return _replaced({hook: [("1'b1", wrong)]})


def _replaced(faults):
    text = emitted(CONFIG, name="ecoformer_engine")
    top = re.search(r"^module ecoformer_engine\(.*?^endmodule\n", text, re.M | re.S)[0]
    changed = top.replace("\nendmodule\n", EXTRA)
    for pin, name in RENAMED.items():
        assert pin in changed, pin
        changed = changed.replace(pin, f"{pin.split('(')[0]}({name})")
    for hook, alternatives in faults.items():
        (found,) = re.finditer(HOOKS[hook], changed)
        expression = right = found[1]
        for condition, wrong in alternatives:
            expression = f"({condition} ? {wrong.replace('@', right)} : {expression})"
        changed = changed[: found.start(1)] + expression + changed[found.end(1) :]
    return text.replace(top, changed)
