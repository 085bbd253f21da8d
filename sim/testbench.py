# SPDX-License-Identifier: Apache-2.0
"""A self-checking testbench in plain Verilog with its vectors, for simulators without Python.

The text keeps to IEEE 1364-2005, so it runs in Icarus, Verilator and any commercial simulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ecoformer.sim.selection import selection
from ecoformer.sim.verify import expected_outputs
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import STATUS, register_writes
from ecoformer.spec.registers import REGISTERS
from ecoformer.spec.wire import pack_outputs, pack_sequence
from ecoformer.spec.workload import Workload

__all__ = ["write_testbench", "testbench"]


def write_testbench(
    folder: Path,
    config: Config,
    image: ParameterImage,
    workload: Workload,
    *,
    name: str,
    seed: int = 0,
) -> None:
    """Write ``folder/tb/tb_<name>.v`` and ``folder/vectors/`` for ``workload``.

    Parameters
    ----------
    name : str
        Top module of the engine.
    seed : int
        Seed of the random gaps.
    """
    vectors = folder / "vectors"
    vectors.mkdir(exist_ok=True)
    (folder / "tb").mkdir(exist_ok=True)
    expected = [outputs for outputs, _ in expected_outputs(config, image, workload)]
    width, select = 8 * config.bus_bytes, selection(config)
    inputs = _packets(
        (pack_sequence(config, tokens, values), index)
        for index, tokens, values in workload.sequences()
    )
    answers = _packets(
        (pack_outputs(config, outputs), select.answered(index))
        for outputs, index in zip(expected, workload.sets)
    )
    lines = {
        "parameters.hex": _hex(register_writes(config, image), 41),
        "input.hex": _hex(inputs, width + 1 + select.vector_bits),
        "expected.hex": _hex(answers, width + 2 + config.tuser_width),
    }
    for vector_file, numbers in lines.items():
        (vectors / vector_file).write_text("\n".join(numbers) + "\n", encoding="utf-8")
    with (vectors / "expected.npz").open("wb") as file:
        np.savez_compressed(file, outputs=np.concatenate(expected), lengths=workload.lengths)
    counts = {
        "WRITES": len(lines["parameters.hex"]),
        "INPUTS": len(lines["input.hex"]),
        "OUTPUTS": len(lines["expected.hex"]),
    }
    longest = int(workload.lengths.max())
    text = testbench(config, name, counts, longest=longest, seed=seed)
    (folder / "tb" / f"tb_{name}.v").write_text(text, encoding="utf-8")


def testbench(
    config: Config, name: str, counts: dict[str, int], *, longest: int, seed: int
) -> str:
    """Verilog text of the testbench.

    Parameters
    ----------
    name : str
        Top module of the engine.
    counts : dict of str to int
        Lines of the vector files: WRITES, INPUTS, OUTPUTS.
    longest : int
        Tokens of the longest sequence, for the watchdog.
    """
    select, k = selection(config), config.cycles_per_token
    quiet = (2 * longest + 64) * k + 2 * config.flow.transform_cycles + 4096
    words = {
        "NAME": name,
        "DATA": 8 * config.bus_bytes,
        "USER": select.vector_bits,
        "ANSWER": config.tuser_width + 1,
        **select.testbench,
        "NEXT_SET": REGISTERS["NEXT_SET"].offset,
        "SEED": f"32'h{(seed * 2654435761 + 1) % 2**32 or 1:08x}",
        "QUIET": 16 * quiet,
        "STATUS": STATUS,
        **counts,
    }
    text = TEXT
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def _packets(packets: Iterable[tuple[np.ndarray, int]]) -> Iterator[int]:
    """Vector of every beat, from the top: user, tlast, data."""
    for beats, user in packets:
        width = 8 * beats.shape[1]
        for i, beat in enumerate(beats):
            last = i == len(beats) - 1
            yield (user << 1 | last) << width | int.from_bytes(beat.tobytes(), "little")


def _hex(numbers, width):
    return [f"{number:0{-(-width // 4)}x}" for number in numbers]


TEXT = """\
// Self-checking testbench of @NAME@ in plain Verilog (IEEE 1364-2005). Run it in the folder
// that holds rtl, tb, lint and vectors:
//
//   $ iverilog -g2005 -o tb_@NAME@.vvp tb/tb_@NAME@.v rtl/@NAME@.v
//   $ vvp tb_@NAME@.vvp                          (full rate)
//   $ vvp tb_@NAME@.vvp +gaps                    (random gaps and back-pressure)
//
//   $ verilator --binary --timing -Wall lint/@NAME@.vlt tb/tb_@NAME@.v rtl/@NAME@.v
//   $ obj_dir/Vtb_@NAME@ [+gaps]                 (Verilator 5.036 or newer)
//
// The last line of its own begins with PASS or FAIL. A simulator that knows x and z, as Icarus
// does, also checks that every output pin is 0 or 1 in every cycle after reset, valid or not; the
// engine's registers and memories begin as x there.

`timescale 1ns / 1ps

module tb_@NAME@;
  parameter VECTORS = "vectors";

  localparam DATA = @DATA@;
  localparam USER = @USER@;
  localparam ANSWER = @ANSWER@;
  localparam WRITES = @WRITES@;
  localparam INPUTS = @INPUTS@;
  localparam OUTPUTS = @OUTPUTS@;
  localparam QUIET = @QUIET@;
  localparam TAIL = 64;
  localparam SHOWN = 20;
  localparam STATUS = 8'd@STATUS@;

  reg [40:0] writes [0:WRITES-1];
  reg [DATA+USER:0] inputs [0:INPUTS-1];
  reg [DATA+ANSWER:0] outputs [0:OUTPUTS-1];

  reg aclk, aresetn;
  wire irq;
  reg [DATA-1:0] s_axis_tdata;
  reg s_axis_tvalid, s_axis_tlast;
@REG@  wire s_axis_tready;
  wire [DATA-1:0] m_axis_tdata;
  wire m_axis_tvalid, m_axis_tlast;
  wire [ANSWER-1:0] m_axis_tuser;
  reg m_axis_tready;
  reg [7:0] s_axil_awaddr, s_axil_araddr;
  reg [31:0] s_axil_wdata;
  reg s_axil_awvalid, s_axil_wvalid, s_axil_arvalid;
  wire s_axil_awready, s_axil_wready, s_axil_arready, s_axil_bvalid, s_axil_rvalid;
  wire [1:0] s_axil_bresp, s_axil_rresp;
  wire [31:0] s_axil_rdata;

  @NAME@ dut (
    .aclk(aclk), .aresetn(aresetn), .irq(irq),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
    .s_axis_tlast(s_axis_tlast),@PIN@
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
    .m_axis_tlast(m_axis_tlast), .m_axis_tuser(m_axis_tuser),
    .s_axil_awaddr(s_axil_awaddr), .s_axil_awprot(3'b000), .s_axil_awvalid(s_axil_awvalid),
    .s_axil_awready(s_axil_awready), .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(4'hf),
    .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready), .s_axil_bresp(s_axil_bresp),
    .s_axil_bvalid(s_axil_bvalid), .s_axil_bready(1'b1), .s_axil_araddr(s_axil_araddr),
    .s_axil_arprot(3'b000), .s_axil_arvalid(s_axil_arvalid), .s_axil_arready(s_axil_arready),
    .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp), .s_axil_rvalid(s_axil_rvalid),
    .s_axil_rready(1'b1)
  );

  integer i, sent, received, refused, wrong, undefined, quiet, tail, cycles;
  reg streaming, gaps, finished, aw_taken, w_taken;
  reg [31:0] lfsr;
@SET@
  initial begin
    aclk = 1'b0;
    forever #5 aclk = ~aclk;
  end

  // Registers are driven between two rising edges; what counts is sampled at the edge.
  task write(input [7:0] address, input [31:0] data);
    begin
      s_axil_awaddr = address;
      s_axil_wdata = data;
      s_axil_awvalid = 1'b1;
      s_axil_wvalid = 1'b1;
      finished = 1'b0;
      while (!finished) begin
        @(posedge aclk);
        aw_taken = s_axil_awready;
        w_taken = s_axil_wready;
        finished = s_axil_bvalid;
        if (finished && s_axil_bresp !== 2'b00) begin
          refused = refused + 1;
          $display("write to register %h is answered %b", address, s_axil_bresp);
        end
        @(negedge aclk);
        if (aw_taken) s_axil_awvalid = 1'b0;
        if (w_taken) s_axil_wvalid = 1'b0;
      end
    end
  endtask

  task wait_until_free;
    begin
      s_axil_araddr = STATUS;
      finished = 1'b0;
      while (!finished) begin
        s_axil_arvalid = 1'b1;
        @(posedge aclk);
        while (!s_axil_arready) @(posedge aclk);
        @(negedge aclk);
        s_axil_arvalid = 1'b0;
        @(posedge aclk);
        while (!s_axil_rvalid) @(posedge aclk);
        finished = s_axil_rdata[1] && s_axil_rresp === 2'b00;
        @(negedge aclk);
      end
    end
  endtask

  task finish;
    begin
      if (wrong + refused + undefined == 0 && received == OUTPUTS)
        $display("PASS: %0d of %0d beats as expected in %0d cycles", received, OUTPUTS, cycles);
      else
        $display("FAIL: %0d differences, %0d of %0d beats in %0d cycles",
                 wrong + refused + undefined, received, OUTPUTS, cycles);
      $finish;
    end
  endtask

  initial begin
    gaps = $test$plusargs("gaps") != 0;
    $readmemh({VECTORS, "/parameters.hex"}, writes);
    $readmemh({VECTORS, "/input.hex"}, inputs);
    $readmemh({VECTORS, "/expected.hex"}, outputs);
    aresetn = 1'b0;
    streaming = 1'b0;
    {s_axil_awvalid, s_axil_wvalid, s_axil_arvalid} = 3'b000;
    s_axil_awaddr = 8'd0;
    s_axil_araddr = 8'd0;
    s_axil_wdata = 32'd0;
    refused = 0;
    repeat (5) @(negedge aclk);
    aresetn = 1'b1;
    repeat (2) @(negedge aclk);
    for (i = 0; i < WRITES; i = i + 1) begin
      if (writes[i][40]) wait_until_free;
      write(writes[i][39:32], writes[i][31:0]);
    end
    wait_until_free;
    streaming = 1'b1;
@SELECT@  end

  always @(posedge aclk) lfsr <= aresetn ? {lfsr[30:0], lfsr[31] ^ lfsr[21] ^ lfsr[1] ^ lfsr[0]}
                                         : @SEED@;

  always @(posedge aclk)
    if (!streaming) begin
      sent <= 0;
      s_axis_tvalid <= 1'b0;
      s_axis_tlast <= 1'b0;
      s_axis_tdata <= {DATA{1'b0}};
@CLEAR@    end else if (!s_axis_tvalid || s_axis_tready) begin
      s_axis_tvalid <= 1'b0;
      if (sent < INPUTS@IF_SELECTED@ && !(gaps && lfsr[1:0] == 2'b00)) begin
        s_axis_tvalid <= 1'b1;
        @BEAT@ <= inputs[sent]@BITS@;
        sent <= sent + 1;
      end
    end

  always @(posedge aclk)
    if (!streaming) begin
      m_axis_tready <= 1'b0;
      received <= 0;
      wrong <= 0;
      tail <= 0;
      cycles <= 0;
    end else begin
      m_axis_tready <= !(gaps && lfsr[8:7] == 2'b00);
      if (received < OUTPUTS) cycles <= cycles + 1;
      if (m_axis_tvalid && m_axis_tready) begin
        received <= received + 1;
        if (received >= OUTPUTS) begin
          wrong <= wrong + 1;
          $display("beat %0d: unexpected", received);
        end else if ({m_axis_tuser, m_axis_tlast, m_axis_tdata} !== outputs[received]) begin
          wrong <= wrong + 1;
          if (wrong < SHOWN)
            $display("beat %0d: {tuser, tlast, tdata} is %h, not %h", received,
                     {m_axis_tuser, m_axis_tlast, m_axis_tdata}, outputs[received]);
        end
      end else if (irq !== 1'b0) begin
        wrong <= wrong + 1;
        if (wrong < SHOWN) $display("irq is %b, and no interrupt is enabled", irq);
      end
      if (received >= OUTPUTS) tail <= tail + 1;
      if (tail == TAIL) finish;
    end

  wire defined = (^{irq, s_axis_tready, m_axis_tdata, m_axis_tvalid, m_axis_tlast, m_axis_tuser,
                    s_axil_awready, s_axil_wready, s_axil_bresp, s_axil_bvalid, s_axil_arready,
                    s_axil_rdata, s_axil_rresp, s_axil_rvalid}) !== 1'bx;

  always @(posedge aclk)
    if (!aresetn)
      undefined <= 0;
    else if (!defined) begin
      undefined <= undefined + 1;
      if (undefined < SHOWN) $display("an output pin is undefined at %0t", $time);
    end

  always @(posedge aclk)
    if (!aresetn || (m_axis_tvalid && m_axis_tready) || (s_axis_tvalid && s_axis_tready)
        || s_axil_bvalid)
      quiet <= 0;
    else begin
      quiet <= quiet + 1;
      if (quiet == QUIET) begin
        $display("nothing has moved for %0d cycles", QUIET);
        finish;
      end
    end
endmodule
"""
