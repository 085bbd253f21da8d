# SPDX-License-Identifier: Apache-2.0
"""What a network's testbench says, with words between @ that depend on the network."""

from ecoformer.sim.testbench.text import TASKS, WATCH

__all__ = ["LOAD_TEXTS", "TEXT"]

LOAD_TEXTS = {
    "LOAD_NOTE": """\
// Behind the reset, other parameters are loaded before anything is sent.
""",
    "LOAD_MEMORY": """\
  localparam LOADED = @LOADED@;

  reg [7:0] parameters [0:LOADED-1];
""",
    "LOAD_PINS": """
  reg [7:0] s_axis_load_tdata;
  reg s_axis_load_tvalid, s_axis_load_tlast, m_axis_load_tready;
  wire s_axis_load_tready, m_axis_load_tvalid;
  wire [7:0] m_axis_load_tdata;
  reg sending;
  integer loaded;
""",
    "LOAD_PORTS": """,
    .s_axis_load_tdata(s_axis_load_tdata), .s_axis_load_tvalid(s_axis_load_tvalid),
    .s_axis_load_tready(s_axis_load_tready), .s_axis_load_tlast(s_axis_load_tlast),
    .m_axis_load_tdata(m_axis_load_tdata), .m_axis_load_tvalid(m_axis_load_tvalid),
    .m_axis_load_tready(m_axis_load_tready)""",
    "LOAD_TASK": """\
  // tready depends on registers alone: what it is before an edge, it is at the edge.
  task load;
    begin
      loaded = 0;
      while (loaded < LOADED && !over) begin
        s_axis_load_tvalid = !gaps || lfsr[3];
        s_axis_load_tdata = parameters[loaded];
        s_axis_load_tlast = loaded == LOADED - 1;
        if (s_axis_load_tvalid && s_axis_load_tready) loaded = loaded + 1;
        @(negedge aclk);
      end
      s_axis_load_tvalid = 1'b0;
      while (m_axis_load_tvalid !== 1'b1 && !over) @(negedge aclk);
      if (m_axis_load_tdata !== 8'd0 && !over) begin
        over = 1'b1;
        $display("FAIL: parameters are answered by %h, not 00", m_axis_load_tdata);
        stop;
      end
      m_axis_load_tready = 1'b1;
      @(negedge aclk);
      m_axis_load_tready = 1'b0;
    end
  endtask

""",
    "LOAD_INIT": """\
    s_axis_load_tvalid = 1'b0;
    s_axis_load_tdata = 8'd0;
    s_axis_load_tlast = 1'b0;
    m_axis_load_tready = 1'b0;
    sending = 1'b1;
    $sformat(path, "%0s/parameters.hex", folder);
    check_path;
    $readmemh(path, parameters);
""",
    "LOAD_RUN": """\
    sending = 1'b0;
    $sformat(path, "%0s/loaded.hex", folder);
    check_path;
    $readmemh(path, outputs);
    aresetn = 1'b1;
    @(negedge aclk);
    load;
    sending = 1'b1;
""",
    "LOAD_SENDING": " && sending",
    "LOAD_RESET": ", s_axis_load_tready, m_axis_load_tvalid",
    "LOAD_DEFINED": """
                 && (^{s_axis_load_tready, m_axis_load_tvalid}) !== 1'bx
                 && (m_axis_load_tvalid !== 1'b1 || (^m_axis_load_tdata) !== 1'bx)""",
    "LOAD_MOVES": """
        || (s_axis_load_tvalid && s_axis_load_tready)""",
}
"""What the text says of a load between these words; nothing where parameters cannot be loaded."""

TEXT = """\
// Self-checking testbench of @NAME@ in plain Verilog (IEEE 1364-2005). In the folder that holds
// rtl, tb, lint and vectors:
//
//   $ iverilog -g2005 -o tb_@NAME@.vvp tb/tb_@NAME@.v rtl/@NAME@.v
//   $ vvp tb_@NAME@.vvp                          (full rate)
//   $ vvp tb_@NAME@.vvp +gaps                    (random gaps and back-pressure)
//
//   $ verilator --binary --timing -Wall lint/@NAME@.vlt tb/tb_@NAME@.v rtl/@NAME@.v
//   $ obj_dir/Vtb_@NAME@ [+gaps]                 (Verilator 5.036 or newer)
//
// In any other folder add where the vectors are: +vectors=DIR.
//
// The last line of its own begins with PASS or FAIL, and after FAIL the exit status is not 0: 1 in
// Icarus; others end by $stop, which makes Verilator abort. @Some@ are sent with bad ones among
// them; then a reset comes while some are in flight, and all are sent again. Every beat of every
// answer is compared. A simulator that knows x and z, as Icarus does, also checks that tready and
// tvalid are 0 or 1 in every cycle after reset, and data while they are offered; registers and
// memories begin as x there, but for the parameters. Times are in the simulator's default unit,
// here and in the network.
@LOAD_NOTE@
module tb_@NAME@;
  parameter VECTORS = "vectors";

  localparam DATA = @DATA@;
  localparam INPUT = DATA + @SIDE@;
  localparam ANSWER = @ANSWER@;
  localparam OUTPUT = ANSWER + @OUTSIDE@;
  localparam INPUTS = @INPUTS@;
  localparam OUTPUTS = @OUTPUTS@;
  localparam RESET_AT = @RESET_AT@;
  localparam QUIET = @QUIET@;
  localparam LIMIT = @LIMIT@;
  localparam SHOWN = 20;
@LOAD_MEMORY@
  reg [INPUT-1:0] inputs [0:INPUTS-1];
  reg [OUTPUT-1:0] outputs [0:OUTPUTS-1];

  reg aclk, aresetn;
  reg [DATA-1:0] s_axis_tdata;
  reg s_axis_tvalid;@SIDES@
  wire s_axis_tready;
  wire [ANSWER-1:0] m_axis_tdata;
  wire m_axis_tvalid, m_axis_tlast, m_axis_tuser;@OUTSIDES@
  reg m_axis_tready;
@LOAD_PINS@
  @NAME@ dut (
    .aclk(aclk), .aresetn(aresetn),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
    @PORTS@
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
    .m_axis_tlast(m_axis_tlast), .m_axis_tuser(m_axis_tuser)@OUTPORTS@@LOAD_PORTS@
  );

  integer file, sent, received, early, quiet, cycles, unexpected, undefined, broken;
  reg running, over, gaps;
  reg [3:0] gap;
  reg [31:0] lfsr;
  reg [8*1024-1:0] folder;
  reg [8*1040-1:0] path;

  // Beats taken; one that is offered is not yet.
  wire [31:0] taken = sent - {31'd0, s_axis_tvalid};
  wire [31:0] differences = unexpected + undefined + broken;

  initial begin
    aclk = 1'b0;
    forever #5 aclk = ~aclk;
  end

  task finish;
    if (!over) begin
      over = 1'b1;
      if (differences == 0 && received == OUTPUTS) begin
        $display("PASS: %0d of %0d beats as expected, %0d before a reset, in %0d cycles",
                 received, OUTPUTS, early, cycles);
        $finish;
      end else begin
        $display("FAIL: %0d differences, %0d of %0d beats in %0d cycles",
                 differences, received, OUTPUTS, cycles);
        stop;
      end
    end
  endtask

@TASKS@
@LOAD_TASK@  // aresetn is driven between two rising edges; what counts is sampled at the edge.
  initial begin
    over = 1'b0;
    running = 1'b0;
    aresetn = 1'b0;
    early = 0;
    gaps = $test$plusargs("gaps") != 0;
    gap = gaps ? 4'd2 : 4'd0;
    if (!$value$plusargs("vectors=%s", folder)) $sformat(folder, "%0s", VECTORS);
    $sformat(path, "%0s/@WHAT@.hex", folder);
    check_path;
    $readmemh(path, inputs);
    $sformat(path, "%0s/expected.hex", folder);
    check_path;
    $readmemh(path, outputs);
@LOAD_INIT@    repeat (2) @(negedge aclk);
    running = 1'b1;
    repeat (4) @(negedge aclk);
    aresetn = 1'b1;
    while (taken < RESET_AT && !over) @(negedge aclk);
    early = received;
    aresetn = 1'b0;
    repeat (5) @(negedge aclk);
@LOAD_RUN@    aresetn = 1'b1;
    @(negedge aclk);
    while (received < OUTPUTS && !over) @(negedge aclk);
    // Nothing more may come.
    repeat (64) @(negedge aclk);
    finish;
  end

  always @(posedge aclk) lfsr <= running ? {lfsr[30:0], lfsr[31] ^ lfsr[21] ^ lfsr[1] ^ lfsr[0]}
                                         : @SEED@;

  always @(posedge aclk)
    if (!aresetn) begin
      sent <= 0;
      s_axis_tvalid <= 1'b0;
      @IN@ <= {INPUT{1'b0}};
    end else if (!s_axis_tvalid || s_axis_tready) begin
      s_axis_tvalid <= 1'b0;
      if (sent < INPUTS@LOAD_SENDING@ && {1'b0, lfsr[0], lfsr[7], lfsr[13]} >= gap) begin
        s_axis_tvalid <= 1'b1;
        @IN@ <= inputs[sent];
        sent <= sent + 1;
      end
    end

  always @(posedge aclk)
    if (!running) begin
      m_axis_tready <= 1'b0;
      received <= 0;
      unexpected <= 0;
      cycles <= 0;
    end else begin
      m_axis_tready <= aresetn && {1'b0, lfsr[17], lfsr[22], lfsr[29]} >= gap;
      cycles <= cycles + 1;
      if (!aresetn) received <= 0;
      else if (m_axis_tvalid && m_axis_tready) begin
        received <= received + 1;
        if (received >= OUTPUTS) begin
          unexpected <= unexpected + 1;
          $display("beat %0d: unexpected", received);
        end else if (@OUT@ !== outputs[received]) begin
          unexpected <= unexpected + 1;
          $display("beat %0d: @OUTNAMES@ is %h, not %h", received,
                   @OUT@, outputs[received]);
        end
      end
    end

  // What waits must stay, and in reset nothing is offered or taken.
  reg waiting, in_reset;
  reg [OUTPUT-1:0] offer;
  always @(posedge aclk) begin
    waiting <= aresetn && m_axis_tvalid && !m_axis_tready;
    offer <= @OUT@;
    in_reset <= running && !aresetn;
    if (!running)
      broken <= 0;
    else if (aresetn && waiting
             && {m_axis_tvalid, @OUT@} !== {1'b1, offer}) begin
      broken <= broken + 1;
      $display("beat %0d: changes while it waits for tready", received);
    end else if (in_reset && !aresetn && {s_axis_tready, m_axis_tvalid@LOAD_RESET@} !== @LOW@) begin
      broken <= broken + 1;
      $display("tready or tvalid is not low in reset");
    end
  end

  // Data have a meaning only while they are offered.
  wire defined = (^{s_axis_tready, m_axis_tvalid}) !== 1'bx
                 && (m_axis_tvalid !== 1'b1
                     || (^@OUT@) !== 1'bx)@LOAD_DEFINED@;

  always @(posedge aclk)
    if (!running)
      undefined <= 0;
    else if (aresetn && !defined) begin
      undefined <= undefined + 1;
      $display("an output pin is undefined in cycle %0d", cycles);
    end

  always @(posedge aclk)
    if (!aresetn || (m_axis_tvalid && m_axis_tready)
        || (s_axis_tvalid && s_axis_tready)@LOAD_MOVES@)
      quiet <= 0;
    else
      quiet <= quiet + 1;

@WATCH@""".replace("@TASKS@", TASKS).replace(
    "@WATCH@", WATCH.replace("@STIMULUS@", "these @WHAT@")
)
