# SPDX-License-Identifier: Apache-2.0
"""A stand-in engine of a few lines, exact for sequences whose values are all the same.

If every value of a sequence is v and no denominator is guarded, attention returns ``v · 2^f``
whatever the codes; if every threshold is the lowest possible, every code bit is +1. So this small
Verilog text and the integer model agree bit by bit, and the tests can break it where they like.
"""

import numpy as np

from ecoformer.sim.stimulus import random_image
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.registers import REGISTERS, constants
from ecoformer.spec.units import units
from ecoformer.spec.workload import Workload

__all__ = ["CONFIG", "engine", "image", "workload"]

CONFIG = Config(
    head_dim=4, value_dim=2, code_bits=5, anchors=3, max_tokens=12, cycles_per_token=4,
    parameter_sets=3, bus_bytes=4, output_fraction=4,
    tuser_width=2,
)

TEXT = """
module dummy_probe (input aclk, input pulse, input [4:0] code,
                    output reg trace_valid, output reg [4:0] trace_code,
                    output [UNITS-1:0] trace_busy);
  initial trace_valid = 0;
  assign trace_busy = {UNITS{trace_valid}};
  always @(posedge aclk) begin trace_valid <= pulse; trace_code <= code; end
endmodule

module dummy_core (input aclk, input pulse, input [4:0] code);
  dummy_probe datapath (.aclk(aclk), .pulse(pulse), .code(code));
endmodule

module dummy_engine (
  input aclk, input aresetn, output irq,
  input [31:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
  input [1:0] s_axis_tuser,
  output [31:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast,
  output [2:0] m_axis_tuser,
  input [7:0] s_axil_awaddr, input [2:0] s_axil_awprot, input s_axil_awvalid, output s_axil_awready,
  input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
  output [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
  input [7:0] s_axil_araddr, input [2:0] s_axil_arprot, input s_axil_arvalid, output s_axil_arready,
  output reg [31:0] s_axil_rdata, output [1:0] s_axil_rresp, output reg s_axil_rvalid,
  input s_axil_rready
);
  reg half, answering, bad;
  reg [1:0] set;
  reg [2:0] loaded;
  reg [7:0] count, sent;
  reg signed [7:0] v0, v1;
  reg [31:0] misaligned, too_long, unknown, tokens, sequences, busy, starved, blocked;
  reg opening;
  wire take = s_axis_tvalid & s_axis_tready;
  wire [1:0] now = opening ? s_axis_tuser : set;
  wire known = now < SETS && loaded[now];
  wire whole = take & half & known & (count < MAX_TOKENS);
  wire [7:0] total = count + half;
  wire give = m_axis_tvalid & m_axis_tready;
  wire signed [15:0] o0 = v0 <<< FRACTION;
  wire signed [15:0] o1 = v1 <<< FRACTION;
  reg [3:0] errors, enable;
  assign irq = |(errors & enable);
  assign s_axis_tready = ~answering & aresetn;
  assign m_axis_tvalid = answering & aresetn;
  assign m_axis_tdata = bad ? 32'd0 : {o1, o0};
  assign m_axis_tlast = bad | (sent + 8'd1 == count);
  assign m_axis_tuser = {bad, set};
  dummy_core engine (.aclk(aclk), .pulse(whole), .code(CODE));
  always @(posedge aclk)
    if (!aresetn) begin
      half <= 0; answering <= 0; bad <= 0; set <= 0; count <= 0; sent <= 0; opening <= 1;
      misaligned <= 0; too_long <= 0; unknown <= 0; tokens <= 0; sequences <= 0;
      errors <= 0; busy <= 0; starved <= 0; blocked <= 0; v0 <= 0; v1 <= 0;
    end else begin
      busy <= busy + (answering | !opening);
      starved <= starved + (!opening & !s_axis_tvalid);
      blocked <= blocked + (m_axis_tvalid & !m_axis_tready);
      if (s_axil_awready && s_axil_awaddr == FLAGS) errors <= errors & ~s_axil_wdata[3:0];
      if (take) begin
        half <= ~half;
        opening <= s_axis_tlast;
        if (opening) set <= s_axis_tuser;
        if (half) begin
          {v1, v0} <= s_axis_tdata[15:0];
          if (count <= MAX_TOKENS) count <= count + 8'd1;
        end
        if (s_axis_tlast) begin
          answering <= 1; half <= 0; sent <= 0;
          bad <= ~known | total > MAX_TOKENS | ~half;
          if (~known) begin unknown <= unknown + 1; errors[2] <= 1; end
          else if (total > MAX_TOKENS) begin too_long <= too_long + 1; errors[1] <= 1; end
          else if (~half) begin misaligned <= misaligned + 1; errors[0] <= 1; end
        end
      end
      if (give) begin
        sent <= sent + 8'd1;
        if (~bad) tokens <= tokens + 1;
        if (m_axis_tlast) begin
          answering <= 0; count <= 0;
          if (~bad) sequences <= sequences + 1;
        end
      end
    end

  assign s_axil_awready = s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
  assign s_axil_wready = s_axil_awready;
  assign s_axil_bresp = 2'd0;
  assign s_axil_arready = s_axil_arvalid & ~s_axil_rvalid;
  assign s_axil_rresp = 2'd0;
  always @(posedge aclk)
    if (!aresetn) begin
      s_axil_bvalid <= 0; s_axil_rvalid <= 0; loaded <= 0; enable <= 0; s_axil_rdata <= 0;
    end else begin
      if (s_axil_bready) s_axil_bvalid <= 0;
      if (s_axil_rready) s_axil_rvalid <= 0;
      if (s_axil_awready) begin
        s_axil_bvalid <= 1;
        if (s_axil_awaddr == ENABLE) enable <= s_axil_wdata[3:0];
        if (s_axil_awaddr == COMMIT) loaded[s_axil_wdata[1:0]] <= 1;
      end
      if (s_axil_arready) begin
        s_axil_rvalid <= 1;
        case (s_axil_araddr)
READS
          default: s_axil_rdata <= 0;
        endcase
      end
    end
endmodule
"""


def engine(**changes):
    """Verilog of the stand-in; ``changes`` replace text to break it."""
    reads = {
        **{name: f"32'd{value}" for name, value in constants(CONFIG).items()},
        "STATUS": "2", "TOKENS": "tokens", "SEQUENCES": "sequences", "MISALIGNED": "misaligned",
        "TOO_LONG": "too_long", "UNKNOWN_SET": "unknown", "ERRORS": "errors",
        "BUSY": "busy", "STARVED": "starved", "BLOCKED": "blocked",
    }
    lines = [
        f"          8'd{REGISTERS[name].offset}: s_axil_rdata <= {value};"
        for name, value in reads.items()
    ]
    words = {
        "READS": "\n".join(lines),
        "MAX_TOKENS": f"8'd{CONFIG.max_tokens}",
        "SETS": str(CONFIG.parameter_sets),
        "FRACTION": str(CONFIG.output_fraction),
        "FLAGS": f"8'd{REGISTERS['ERRORS'].offset}",
        "ENABLE": f"8'd{REGISTERS['IRQ_ENABLE'].offset}",
        "COMMIT": f"8'd{REGISTERS['COMMIT'].offset}",
        "CODE": "5'h1f",
        "UNITS": str(len(units(CONFIG))),
    }
    text = TEXT
    for word, value in {**words, **changes}.items():
        assert word in text, word
        text = text.replace(word, value)
    return text


def image(*, sets=CONFIG.parameter_sets):
    """Random image under which every code bit is +1 and no denominator is guarded."""
    random = random_image(CONFIG, np.random.default_rng(5), sets=sets)
    random.threshold[:] = -Arithmetic(CONFIG).max_projection
    return random


def workload(sequences, *, sets=CONFIG.parameter_sets, seed=0):
    """Random tokens; one value per sequence, repeated."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(sequences):
        count = int(rng.integers(1, CONFIG.max_tokens + 1))
        value = rng.integers(-128, 128, (1, CONFIG.value_dim))
        tokens = rng.integers(-128, 128, (count, CONFIG.head_dim))
        drawn.append((int(rng.integers(sets)), tokens, np.repeat(value, count, axis=0)))
    return Workload.from_sequences(drawn)
