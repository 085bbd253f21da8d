# SPDX-License-Identifier: Apache-2.0
"""An engine behind a wrapper that spoils its pins: one fault for each number in ``+fault=``."""

import re

from ecoformer.spec.registers import REGISTERS

__all__ = ["FAULTS", "UNSEEN", "broken"]

FAULTS = {
    "none": "",
    "a bit of a result": "m_tdata[0] = i_tdata[0] ^ (given == 9);",
    "the set of an answer": "m_tuser[0] = ~i_tuser[0];",
    "no error bit": "m_tuser[@ERROR@] = 0;",
    "no tlast": "m_tlast = 0;",
    "silence": "if (given >= 9) begin m_tvalid = 0; i_tready = 0; end",
    "no input": "s_tready = 0; i_svalid = 0;",
    "babble": "m_tvalid = aresetn & (i_tvalid | given >= 20);",
    "endless babble": "if (given >= 20 & aresetn) begin m_tvalid = toggle; m_tdata = 0; end",
    "a beat too many at the end": "m_tvalid = i_tvalid | (given == last & aresetn);",
    "a result that changes while it waits": "m_tdata[0] = i_tdata[0] ^ (waited & ~m_axis_tready);",
    "a result that is withdrawn": "if (waited) begin m_tvalid = toggle; "
                                  "i_tready = toggle & m_axis_tready; end",
    "x in what is not valid": "if (!i_tvalid) m_tdata[0] = 1'bx;",
    "an offer in reset": "m_tvalid = i_tvalid | ~aresetn;",
    "irq stuck at 0": "irq_pin = 0;",
    "irq stuck at 1": "irq_pin = 1;",
    "writes refused": "bresp = 2;",
    "writes never refused": "bresp = 0;",
    "writes unanswered": "bvalid = 0;",
    "reads unanswered": "rvalid = 0;",
    "a wrong counter": "if (raddr == @TOKENS@) rdata[0] = ~i_rdata[0];",
    "BUSY one short": "if (raddr == @BUSY@) rdata = i_rdata - (i_rdata != 0);",
    "a wrong constant": "if (raddr == 0) rdata[31] = ~i_rdata[31];",
    "no soft reset": "if (s_axil_awaddr == @CONTROL@) wdata = 0;",
    "flags cannot be cleared": "if (s_axil_awaddr == @ERRORS@) wdata = 0;",
    "updates are lost": "if (s_axil_awaddr == @PARAM_DATA@ & resets == 2 & commits > 0) wdata = 0;",
}
"""What each fault does in an ``always @*``; i_… come from the engine."""
UNSEEN = {"verilator": {"x in what is not valid"}}
"""Faults that a simulator cannot show."""

WRAPPER = """
module @TOP@ (
  input aclk, input aresetn, output irq,
  input [@D@:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
  input [@U@:0] s_axis_tuser,
  output [@D@:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast,
  output [@E@:0] m_axis_tuser,
  input [7:0] s_axil_awaddr, input [2:0] s_axil_awprot, input s_axil_awvalid, output s_axil_awready,
  input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
  output [1:0] s_axil_bresp, output s_axil_bvalid, input s_axil_bready,
  input [7:0] s_axil_araddr, input [2:0] s_axil_arprot, input s_axil_arvalid, output s_axil_arready,
  output [31:0] s_axil_rdata, output [1:0] s_axil_rresp, output s_axil_rvalid,
  input s_axil_rready
);
  integer fault, last;
  initial begin
    fault = 0;
    last = -1;
    if ($value$plusargs("fault=%d", fault)) $display("fault %0d", fault);
    if ($value$plusargs("last=%d", last)) $display("after beat %0d", last);
  end
  wire i_irq, i_sready, i_tvalid, i_tlast, i_bvalid, i_rvalid;
  wire [@D@:0] i_tdata;
  wire [@E@:0] i_tuser;
  wire [1:0] i_bresp;
  wire [31:0] i_rdata;
  reg irq_pin, s_tready, i_svalid, i_tready, m_tvalid, m_tlast, bvalid, rvalid;
  reg [@D@:0] m_tdata;
  reg [@E@:0] m_tuser;
  reg [1:0] bresp;
  reg [31:0] rdata, wdata;
  reg [7:0] raddr;
  reg waited, toggle, was_up;
  integer given, commits, resets;
  initial {toggle, was_up, given, commits, resets} = 0;
  always @(posedge aclk) begin
    toggle <= ~toggle;
    waited <= aresetn & m_tvalid & ~m_axis_tready;
    if (s_axil_arvalid) raddr <= s_axil_araddr;
    was_up <= aresetn;
    if (aresetn & ~was_up) resets <= resets + 1;
    if (!aresetn) commits <= 0;
    else if (s_axil_awvalid & s_axil_awready & s_axil_awaddr == @COMMIT@) commits <= commits + 1;
  end
  always @(posedge aclk) if (aresetn & m_tvalid & m_axis_tready) given <= given + 1;
  always @* begin
    irq_pin = i_irq; s_tready = i_sready; i_svalid = s_axis_tvalid; i_tready = m_axis_tready;
    m_tvalid = i_tvalid; m_tlast = i_tlast; m_tdata = i_tdata; m_tuser = i_tuser;
    bvalid = i_bvalid; rvalid = i_rvalid; bresp = i_bresp; rdata = i_rdata; wdata = s_axil_wdata;
    case (fault)
@FAULTS@
      default: ;
    endcase
  end
  assign irq = irq_pin;
  assign s_axis_tready = s_tready;
  assign {m_axis_tdata, m_axis_tvalid, m_axis_tlast} = {m_tdata, m_tvalid, m_tlast};
  assign m_axis_tuser = m_tuser;
  assign {s_axil_bresp, s_axil_bvalid} = {bresp, bvalid};
  assign {s_axil_rdata, s_axil_rvalid} = {rdata, rvalid};
  inner engine (
    .aclk(aclk), .aresetn(aresetn), .irq(i_irq),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(i_svalid), .s_axis_tready(i_sready),
    .s_axis_tlast(s_axis_tlast), .s_axis_tuser(s_axis_tuser),
    .m_axis_tdata(i_tdata), .m_axis_tvalid(i_tvalid), .m_axis_tready(i_tready),
    .m_axis_tlast(i_tlast), .m_axis_tuser(i_tuser),
    .s_axil_awaddr(s_axil_awaddr), .s_axil_awprot(s_axil_awprot), .s_axil_awvalid(s_axil_awvalid),
    .s_axil_awready(s_axil_awready), .s_axil_wdata(wdata), .s_axil_wstrb(s_axil_wstrb),
    .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready), .s_axil_bresp(i_bresp),
    .s_axil_bvalid(i_bvalid), .s_axil_bready(s_axil_bready), .s_axil_araddr(s_axil_araddr),
    .s_axil_arprot(s_axil_arprot), .s_axil_arvalid(s_axil_arvalid), .s_axil_arready(s_axil_arready),
    .s_axil_rdata(i_rdata), .s_axil_rresp(s_axil_rresp), .s_axil_rvalid(i_rvalid),
    .s_axil_rready(s_axil_rready)
  );
endmodule
"""


def broken(config, text, top):
    """``text`` of an engine with ``tuser`` behind the wrapper, which has its name and pins."""
    faults = "\n".join(f"      {i}: begin {text} end" for i, text in enumerate(FAULTS.values()))
    words = {
        "FAULTS": faults, "TOP": top, "D": 8 * config.bus_bytes - 1, "U": config.tuser_width - 1,
        "E": config.tuser_width, "ERROR": config.tuser_width,
        **{name: f"8'd{register.offset}" for name, register in REGISTERS.items()},
    }
    wrapper = WRAPPER
    for word, value in words.items():
        wrapper = wrapper.replace(f"@{word}@", str(value))
    inner, count = re.subn(rf"^module {top}\(", "module inner(", text, flags=re.MULTILINE)
    assert count == 1
    return inner + wrapper
