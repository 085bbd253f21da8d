// SPDX-License-Identifier: Apache-2.0
// The PLL of an ECP5 in a simulation whose clock is already the one that it would make: the clock
// passes through, and locks after some cycles.

module EHXPLLL #(
  parameter PLLRST_ENA = "DISABLED", parameter INTFB_WAKE = "DISABLED",
  parameter STDBY_ENABLE = "DISABLED", parameter DPHASE_SOURCE = "DISABLED",
  parameter FEEDBK_PATH = "CLKOP", parameter CLKOP_ENABLE = "ENABLED",
  parameter CLKI_DIV = 1, parameter CLKFB_DIV = 1, parameter CLKOP_DIV = 1,
  parameter CLKOP_CPHASE = 0, parameter CLKOP_FPHASE = 0
) (
  input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    PLLWAKESYNC, ENCLKOP,
  output CLKOP, LOCK
);
  // Locked at first and lost at once: an asynchronous reset that is active from the beginning has no
  // edge, and simulators would not see it.
  reg [4:0] waited = 5'd15;
  assign CLKOP = CLKI;
  assign LOCK = &waited[3:0];
  always @(posedge CLKI) if (waited != 5'd31) waited <= waited + 5'd1;
endmodule
