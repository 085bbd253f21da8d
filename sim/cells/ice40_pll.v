// SPDX-License-Identifier: Apache-2.0
// The PLL of an iCE40 in a simulation whose clock is already the one that it would make: the clock
// passes through.

module SB_PLL40_PAD #(
  parameter FEEDBACK_PATH = "SIMPLE", parameter PLLOUT_SELECT = "GENCLK",
  parameter DIVR = 4'd0, parameter DIVF = 7'd0, parameter DIVQ = 3'd0, parameter FILTER_RANGE = 3'd0
) (
  input PACKAGEPIN, RESETB, BYPASS,
  output PLLOUTGLOBAL
);
  assign PLLOUTGLOBAL = PACKAGEPIN;
endmodule
