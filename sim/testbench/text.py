# SPDX-License-Identifier: Apache-2.0
"""What a generated testbench says, with words between @ that depend on the engine."""

__all__ = ["TASKS", "TEXT", "WATCH"]

TASKS = """\
  task stop;
`ifdef __ICARUS__
    $finish_and_return(1);
`else
    $stop;
`endif
  endtask

  task check_path;
    begin
      file = $fopen(path, "r");
      if (file != 0) $fclose(file);
      else if (!over) begin
        over = 1'b1;
        $display("FAIL: %0s: no such file; run in the folder that holds it or add +vectors=DIR",
                 path);
        stop;
      end
    end
  endtask
"""
"""Tasks of every testbench: how it ends, and what it says of a missing file."""

WATCH = """\
  always @(negedge aclk)
    if (running) begin
      if (differences >= SHOWN) begin
        $display("that is enough");
        finish;
      end
      if (quiet >= QUIET) begin
        $display("nothing has moved for %0d cycles", QUIET);
        finish;
      end
      if (cycles >= LIMIT) begin
        $display("not done in %0d cycles, which suffice for @STIMULUS@", LIMIT);
        finish;
      end
    end
endmodule
"""
"""What ends a testbench that finds too much, stands still or goes on for too long."""

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
// Icarus; others end by $stop, which makes Verilator abort. First comes the workload, then a script
// of bad packets, a soft reset, an update of parameters in flight, stalls and a reset; every beat,
// counter, flag and interrupt is compared. A simulator that knows x and z, as Icarus does, also
// checks that every output pin is 0 or 1 in every cycle after reset, valid or not; the engine's
// registers and memories begin as x there. Times are in the simulator's default unit, here and in
// the engine.

module tb_@NAME@;
  parameter VECTORS = "vectors";

  localparam DATA = @DATA@;
  localparam USER = @USER@;
  localparam ANSWER = @ANSWER@;
  localparam WRITES = @WRITES@;
  localparam STEPS = @STEPS@;
  localparam INPUTS = @INPUTS@;
  localparam OUTPUTS = @OUTPUTS@;
  localparam QUIET = @QUIET@;
  localparam LIMIT = @LIMIT@;
  localparam SHOWN = 20;
  localparam STATUS = 8'd@STATUS@;
  localparam FREE = 32'd2;

  reg [40:0] writes [0:WRITES-1];
  reg [75:0] steps [0:STEPS-1];
  reg [DATA+USER:0] inputs [0:INPUTS-1];
@QUERY_MEMORY@  reg [DATA+ANSWER:0] outputs [0:OUTPUTS-1];

  reg aclk, aresetn;
  wire irq;
  reg [DATA-1:0] s_axis_tdata;
  reg s_axis_tvalid, s_axis_tlast;
@REG@  wire s_axis_tready;
@QUERY_PINS@  wire [DATA-1:0] m_axis_tdata;
  wire m_axis_tvalid, m_axis_tlast;
@WIRES@  reg m_axis_tready;
  reg [7:0] s_axil_awaddr, s_axil_araddr;
  reg [31:0] s_axil_wdata;
  reg s_axil_awvalid, s_axil_wvalid, s_axil_arvalid;
  wire s_axil_awready, s_axil_wready, s_axil_arready, s_axil_bvalid, s_axil_rvalid;
  wire [1:0] s_axil_bresp, s_axil_rresp;
  wire [31:0] s_axil_rdata;

  @NAME@ dut (
    .aclk(aclk), .aresetn(aresetn), .irq(irq),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
    .s_axis_tlast(s_axis_tlast),@PIN@@QUERY_PORTS@
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
    .m_axis_tlast(m_axis_tlast)@OUT@,
    .s_axil_awaddr(s_axil_awaddr), .s_axil_awprot(3'b000), .s_axil_awvalid(s_axil_awvalid),
    .s_axil_awready(s_axil_awready), .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(4'hf),
    .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready), .s_axil_bresp(s_axil_bresp),
    .s_axil_bvalid(s_axil_bvalid), .s_axil_bready(1'b1), .s_axil_araddr(s_axil_araddr),
    .s_axil_arprot(3'b000), .s_axil_arvalid(s_axil_arvalid), .s_axil_arready(s_axil_arready),
    .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp), .s_axil_rvalid(s_axil_rvalid),
    .s_axil_rready(1'b1)
  );

  integer i, step, file, sent, allowed, restart, received, quiet, cycles;
  integer wrong, refused, unexpected, undefined, broken;
  reg running, over, gaps, finished, aw_taken, w_taken;
  reg [3:0] gap, pressure;
  reg [31:0] lfsr, got;
  reg [3:0] action;
  reg [7:0] address;
  reg [31:0] mask, data;
  reg [8*1024-1:0] folder;
  reg [8*1040-1:0] path;
  reg [31:0] begun, answered, busy, starved, blocked;

  // Beats taken; one that is offered is not yet.
  wire [31:0] taken = sent - {31'd0, s_axis_tvalid};
@QUERY_COUNTS@  wire [31:0] differences = wrong + refused + unexpected + undefined + broken;

  initial begin
    aclk = 1'b0;
    forever #5 aclk = ~aclk;
  end

  task finish;
    if (!over) begin
      over = 1'b1;
      if (differences == 0 && received == OUTPUTS && step == STEPS) begin
        $display("PASS: %0d of %0d beats as expected in %0d cycles", received, OUTPUTS, cycles);
        $finish;
      end else begin
        $display("FAIL: %0d differences, %0d of %0d beats in %0d cycles",
                 differences, received, OUTPUTS, cycles);
        stop;
      end
    end
  endtask

@TASKS@
  // Registers are driven between two rising edges; what counts is sampled at the edge.
  task write(input [7:0] where, input [31:0] value, input [1:0] response);
    begin
      s_axil_awaddr = where;
      s_axil_wdata = value;
      s_axil_awvalid = 1'b1;
      s_axil_wvalid = 1'b1;
      finished = 1'b0;
      while (!finished) begin
        @(posedge aclk);
        aw_taken = s_axil_awready;
        w_taken = s_axil_wready;
        finished = s_axil_bvalid;
        if (finished && s_axil_bresp !== response) begin
          refused = refused + 1;
          $display("write to register %h is answered %b, not %b", where, s_axil_bresp, response);
        end
        @(negedge aclk);
        if (aw_taken) s_axil_awvalid = 1'b0;
        if (w_taken) s_axil_wvalid = 1'b0;
      end
    end
  endtask

  task read(input [7:0] where);
    begin
      s_axil_araddr = where;
      s_axil_arvalid = 1'b1;
      @(posedge aclk);
      while (!s_axil_arready) @(posedge aclk);
      @(negedge aclk);
      s_axil_arvalid = 1'b0;
      @(posedge aclk);
      while (!s_axil_rvalid) @(posedge aclk);
      got = s_axil_rdata;
      if (s_axil_rresp !== 2'b00) begin
        refused = refused + 1;
        $display("read of register %h is answered %b", where, s_axil_rresp);
      end
      @(negedge aclk);
    end
  endtask

  task compare(input [31:0] wanted, input [31:0] bits);
    if ((got & bits) !== wanted) begin
      wrong = wrong + 1;
      $display("register %h is %h, not %h, in the bits %h", address, got, wanted, bits);
    end
  endtask

  task poll(input [7:0] where, input [31:0] bits, input [31:0] wanted);
    begin
      got = ~wanted;
      while ((got & bits) !== wanted && !over) read(where);
    end
  endtask

  initial begin
    over = 1'b0;
    running = 1'b0;
    aresetn = 1'b0;
    {s_axil_awvalid, s_axil_wvalid, s_axil_arvalid} = 3'b000;
    s_axil_awaddr = 8'd0;
    s_axil_araddr = 8'd0;
    s_axil_wdata = 32'd0;
    refused = 0;
    wrong = 0;
    step = 0;
    allowed = 0;
    restart = 0;
@QUERY_START@    gap = 4'd0;
    pressure = 4'd0;
    gaps = $test$plusargs("gaps") != 0;
    if (!$value$plusargs("vectors=%s", folder)) $sformat(folder, "%0s", VECTORS);
    $sformat(path, "%0s/parameters.hex", folder);
    check_path;
    $readmemh(path, writes);
    $sformat(path, "%0s/steps.hex", folder);
    check_path;
    $readmemh(path, steps);
    $sformat(path, "%0s/input.hex", folder);
    check_path;
    $readmemh(path, inputs);
@QUERY_READ@    $sformat(path, "%0s/expected.hex", folder);
    check_path;
    $readmemh(path, outputs);
    repeat (2) @(negedge aclk);
    running = 1'b1;
    while (step < STEPS && !over) begin
      {action, address, mask, data} = steps[step];
      case (action)
        @RESET@: begin
          aresetn = 1'b0;
          restart = mask;
          allowed = mask;
@QUERY_RESET@          gap = gaps ? 4'd2 : 4'd0;
          pressure = gap;
          repeat (data) @(negedge aclk);
          aresetn = 1'b1;
          repeat (2) @(negedge aclk);
        end
        @LOAD@:
          for (i = 0; i < WRITES; i = i + 1) begin
            if (writes[i][40]) poll(STATUS, FREE, FREE);
            write(writes[i][39:32], writes[i][31:0], 2'b00);
          end
        @WRITE@: write(address, data, mask[1:0]);
        @READ@: begin
          read(address);
          compare(data, mask);
        end
        @POLL@: poll(address, mask, data);
        @SEND@: begin
          allowed = data;
          @(negedge aclk);
        end
        @SENT@: while (taken < data && !over) @(negedge aclk);
@QUERY_STEPS@        @RECEIVED@: while (received < data && !over) @(negedge aclk);
        @STALL@: begin
          gap = mask[3:0];
          pressure = data[3:0];
        end
        @WAIT@: repeat (data) @(negedge aclk);
        @IRQ@: begin
          repeat (2) @(negedge aclk);
          if (irq !== data[0]) begin
            wrong = wrong + 1;
            $display("irq is %b, not %b", irq, data[0]);
          end
        end
        @COUNTED@: begin
          read(address);
          compare(data == 0 ? busy : data == 1 ? starved : blocked, 32'hffffffff);
        end
        default: begin
          wrong = wrong + 1;
          $display("step %0d is undefined", step);
        end
      endcase
      step = step + 1;
    end
    finish;
  end

  always @(posedge aclk) lfsr <= running ? {lfsr[30:0], lfsr[31] ^ lfsr[21] ^ lfsr[1] ^ lfsr[0]}
                                         : @SEED@;

  always @(posedge aclk)
    if (!aresetn) begin
      sent <= restart;
      s_axis_tvalid <= 1'b0;
      s_axis_tlast <= 1'b0;
      s_axis_tdata <= {DATA{1'b0}};
@CLEAR@    end else if (!s_axis_tvalid || s_axis_tready) begin
      s_axis_tvalid <= 1'b0;
      if (sent < allowed && {1'b0, lfsr[0], lfsr[7], lfsr[13]} >= gap) begin
        s_axis_tvalid <= 1'b1;
        @BEAT@ <= inputs[sent];
        sent <= sent + 1;
      end
    end

@QUERY_SOURCE@  always @(posedge aclk)
    if (!running) begin
      m_axis_tready <= 1'b0;
      received <= 0;
      unexpected <= 0;
      cycles <= 0;
    end else begin
      m_axis_tready <= aresetn && {1'b0, lfsr[17], lfsr[22], lfsr[29]} >= pressure;
      cycles <= cycles + 1;
      if (m_axis_tvalid && m_axis_tready) begin
        received <= received + 1;
        if (received >= OUTPUTS) begin
          unexpected <= unexpected + 1;
          $display("beat %0d: unexpected", received);
        end else if ({@ANSWERED@, m_axis_tlast, @ROW@} !== outputs[received]) begin
          unexpected <= unexpected + 1;
          $display("beat %0d: {@FIELDS@} is %h, not %h", received,
                   {@ANSWERED@, m_axis_tlast, @ROW@}, outputs[received]);
        end
      end
    end

  // What a packet in flight, a starved input and a blocked output are, as in the registers.
@QUERY_OPENING@  reg opening;
  always @(posedge aclk)
    if (!aresetn) begin
      opening <= 1'b1;
      begun <= 32'd0;
      answered <= 32'd0;
      busy <= 32'd0;
      starved <= 32'd0;
      blocked <= 32'd0;
@QUERY_CLOSED@    end else begin
@QUERY_OPENS@      if (s_axis_tvalid && s_axis_tready) begin
        opening <= s_axis_tlast;
        if (opening) begun <= begun + 32'd1;
      end
      if (m_axis_tvalid && m_axis_tready && m_axis_tlast) answered <= answered + 32'd1;
      if (@BEGUN@ != answered) busy <= busy + 32'd1;
      if (@STARVES@) starved <= starved + 32'd1;
      if (m_axis_tvalid && !m_axis_tready) blocked <= blocked + 32'd1;
    end

  // What waits must stay, and in reset nothing is offered or taken.
  reg waiting, in_reset;
  reg [DATA+ANSWER:0] offer;
  always @(posedge aclk) begin
    waiting <= aresetn && m_axis_tvalid && !m_axis_tready;
    offer <= {@ANSWERED@, m_axis_tlast, @ROW@};
    in_reset <= running && !aresetn;
    if (!running)
      broken <= 0;
    else if (aresetn && waiting
             && {m_axis_tvalid, @ANSWERED@, m_axis_tlast, @ROW@} !== {1'b1, offer}) begin
      broken <= broken + 1;
      $display("beat %0d: changes while it waits for tready", received);
    end else if (in_reset && !aresetn
                 && {@READY@, m_axis_tvalid, s_axil_bvalid, s_axil_rvalid} !== @READIES@'d0) begin
      broken <= broken + 1;
      $display("tready, tvalid, bvalid or rvalid is not low in reset");
    end
  end

  wire defined = (^{irq, @READY@, @ROW@, m_axis_tvalid, m_axis_tlast, @ANSWERED@,
                    s_axil_awready, s_axil_wready, s_axil_bresp, s_axil_bvalid, s_axil_arready,
                    s_axil_rdata, s_axil_rresp, s_axil_rvalid}) !== 1'bx;

  always @(posedge aclk)
    if (!running)
      undefined <= 0;
    else if (aresetn && !defined) begin
      undefined <= undefined + 1;
      $display("an output pin is undefined in cycle %0d", cycles);
    end

  always @(posedge aclk)
    if (!aresetn || (m_axis_tvalid && m_axis_tready) || (s_axis_tvalid && s_axis_tready)
@QUERY_MOVES@        || s_axil_bvalid || s_axil_rvalid)
      quiet <= 0;
    else
      quiet <= quiet + 1;

@WATCH@""".replace("@TASKS@", TASKS).replace(
    "@WATCH@", WATCH.replace("@STIMULUS@", "this stimulus")
)
