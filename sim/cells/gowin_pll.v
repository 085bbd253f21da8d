// SPDX-License-Identifier: Apache-2.0
// The PLL of a Gowin LittleBee in a simulation whose clock is already the one that it would make: the
// clock passes through, and locks after some cycles.

module rPLL #(
  parameter FCLKIN = "100.0", parameter DEVICE = "GW1N-1",
  parameter IDIV_SEL = 0, parameter FBDIV_SEL = 0, parameter ODIV_SEL = 8,
  parameter DYN_IDIV_SEL = "false", parameter DYN_FBDIV_SEL = "false",
  parameter DYN_ODIV_SEL = "false", parameter CLKFB_SEL = "internal"
) (
  input CLKIN, CLKFB, RESET, RESET_P,
  input [5:0] FBDSEL, IDSEL, ODSEL,
  input [3:0] PSDA, DUTYDA, FDLY,
  output CLKOUT, LOCK
);
  reg [3:0] waited = 4'd0;
  assign CLKOUT = CLKIN;
  assign LOCK = &waited;
  always @(posedge CLKIN) if (!RESET && !LOCK) waited <= waited + 4'd1;
endmodule
