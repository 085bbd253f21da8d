// SPDX-License-Identifier: Apache-2.0
// Behavioural models of the blocks for which Yosys ships ports but no behaviour, in the modes that
// Yosys infers and no others: no output registers, no cascades, no error correction, one clock for
// both ports. What real hardware leaves open is X here.

// Dual-port block RAM of bytes of 9 bits. Addresses count bits of the 8-bit parts, as the pins of
// both vendors do; a width below 9 leaves every ninth bit unused.
module ecoformer_block_ram #(
  parameter LOG_BYTES = 11,
  parameter [(8 << LOG_BYTES)-1:0] DATA = 0,
  parameter [(1 << LOG_BYTES)-1:0] PARITY = 0,
  parameter READ_A = 9, parameter WRITE_A = 9, parameter READ_B = 9, parameter WRITE_B = 9,
  parameter MODE_A = 0,  // what a writing port reads: 0 its last value, 1 the old byte, 2 the new
  parameter MODE_B = 0,
  parameter OLD_ACROSS = 0  // 1: a byte that the other port writes in this cycle reads as before
) (
  input clk_a, input en_a, input rst_a, input [7:0] we_a, input [15:0] addr_a,
  input [71:0] di_a, output [71:0] do_a,
  input clk_b, input en_b, input rst_b, input [7:0] we_b, input [15:0] addr_b,
  input [71:0] di_b, output [71:0] do_b
);
  localparam BYTES = 1 << LOG_BYTES;
  reg [8:0] memory [0:BYTES-1];
  reg [71:0] q_a, q_b;
  assign do_a = q_a;
  assign do_b = q_b;
  integer i, j, k;
  initial begin
    for (i = 0; i < BYTES; i = i + 1) memory[i] = {PARITY[i], DATA[8*i +: 8]};
    q_a = 0;
    q_b = 0;
  end

  function integer lanes(input integer width);
    lanes = width < 9 ? 1 : width / 9;
  endfunction

  function [LOG_BYTES-1:0] first(input [15:0] addr, input integer width);
    first = (addr >> 3) & ~(lanes(width) - 1);
  endfunction

  function [8:0] mask(input [15:0] addr, input integer width);
    mask = width < 9 ? ((1 << width) - 1) << offset(addr, width) : 9'h1ff;
  endfunction

  function [2:0] offset(input [15:0] addr, input integer width);
    offset = width < 9 ? addr[2:0] & ~(width - 1) : 0;
  endfunction

  always @(posedge clk_a) if (en_a) begin
    if (rst_a) q_a <= 0;
    else if (READ_A != 0 && (we_a == 0 || WRITE_A == 0 || MODE_A != 0))
      for (j = 0; j < lanes(READ_A); j = j + 1)
        if (WRITE_B != 0 && en_b && OLD_ACROSS == 0
            && first(addr_a, READ_A) + j >= first(addr_b, WRITE_B)
            && first(addr_a, READ_A) + j < first(addr_b, WRITE_B) + lanes(WRITE_B)
            && we_b[first(addr_a, READ_A) + j - first(addr_b, WRITE_B)])
          q_a[9*j +: 9] <= 9'bx;
        else if (MODE_A == 2 && WRITE_A == READ_A && we_a[j])
          q_a[9*j +: 9] <= di_a[9*j +: 9];
        else
          q_a[9*j +: 9] <= (memory[first(addr_a, READ_A) + j] & mask(addr_a, READ_A))
                             >> offset(addr_a, READ_A);
    if (WRITE_A != 0)
      for (j = 0; j < lanes(WRITE_A); j = j + 1)
        if (we_a[j])
          memory[first(addr_a, WRITE_A) + j] <=
            (memory[first(addr_a, WRITE_A) + j] & ~mask(addr_a, WRITE_A))
            | (di_a[9*j +: 9] << offset(addr_a, WRITE_A) & mask(addr_a, WRITE_A));
  end

  always @(posedge clk_b) if (en_b) begin
    if (rst_b) q_b <= 0;
    else if (READ_B != 0 && (we_b == 0 || WRITE_B == 0 || MODE_B != 0))
      for (k = 0; k < lanes(READ_B); k = k + 1)
        if (WRITE_A != 0 && en_a && OLD_ACROSS == 0
            && first(addr_b, READ_B) + k >= first(addr_a, WRITE_A)
            && first(addr_b, READ_B) + k < first(addr_a, WRITE_A) + lanes(WRITE_A)
            && we_a[first(addr_b, READ_B) + k - first(addr_a, WRITE_A)])
          q_b[9*k +: 9] <= 9'bx;
        else if (MODE_B == 2 && WRITE_B == READ_B && we_b[k])
          q_b[9*k +: 9] <= di_b[9*k +: 9];
        else
          q_b[9*k +: 9] <= (memory[first(addr_b, READ_B) + k] & mask(addr_b, READ_B))
                             >> offset(addr_b, READ_B);
    if (WRITE_B != 0)
      for (k = 0; k < lanes(WRITE_B); k = k + 1)
        if (we_b[k])
          memory[first(addr_b, WRITE_B) + k] <=
            (memory[first(addr_b, WRITE_B) + k] & ~mask(addr_b, WRITE_B))
            | (di_b[9*k +: 9] << offset(addr_b, WRITE_B) & mask(addr_b, WRITE_B));
  end
endmodule
