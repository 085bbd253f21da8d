// SPDX-License-Identifier: Apache-2.0
// Lattice ECP5.

// Multiplier, with the registers of its operands and of its product that are asked for.
module MULT18X18D #(
  parameter REG_INPUTA_CLK = "NONE", parameter REG_INPUTB_CLK = "NONE",
  parameter REG_OUTPUT_CLK = "NONE", parameter GSR = "ENABLED"
) (
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0, B17, B16,
    B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0, C17, C16, C15, C14, C13,
    C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, input SIGNEDB, input SOURCEA, input SOURCEB, input CLK0, input CE0, input RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  wire signed [18:0] a_now = {SIGNEDA & A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7,
      A6, A5, A4, A3, A2, A1, A0};
  wire signed [18:0] b_now = {SIGNEDB & B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7,
      B6, B5, B4, B3, B2, B1, B0};
  reg signed [18:0] a_held, b_held;
  reg signed [37:0] product_held;
  wire signed [18:0] a = REG_INPUTA_CLK == "NONE" ? a_now : a_held;
  wire signed [18:0] b = REG_INPUTB_CLK == "NONE" ? b_now : b_held;
  wire signed [37:0] product_now = a * b;
  wire signed [37:0] product = REG_OUTPUT_CLK == "NONE" ? product_now : product_held;
  always @(posedge CLK0) begin
    a_held <= RST0 ? 0 : CE0 ? a_now : a_held;
    b_held <= RST0 ? 0 : CE0 ? b_now : b_held;
    product_held <= RST0 ? 0 : CE0 ? product_now : product_held;
  end
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
      P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
      product[35:0];
endmodule

// A width of 36 takes port A for writing and port B for reading, data pins of both joined.
module DP16KD #(
  parameter DATA_WIDTH_A = 18, parameter DATA_WIDTH_B = 18,
  parameter REGMODE_A = "NOREG", parameter REGMODE_B = "NOREG",
  parameter RESETMODE = "SYNC", parameter ASYNC_RESET_RELEASE = "SYNC",
  parameter CSDECODE_A = "0b000", parameter CSDECODE_B = "0b000",
  parameter WRITEMODE_A = "NORMAL", parameter WRITEMODE_B = "NORMAL",
  parameter CLKAMUX = "CLKA", parameter CLKBMUX = "CLKB",
  parameter [319:0] INITVAL_00 = 320'd0, INITVAL_01 = 320'd0, INITVAL_02 = 320'd0, INITVAL_03 =
    320'd0, INITVAL_04 = 320'd0, INITVAL_05 = 320'd0, INITVAL_06 = 320'd0, INITVAL_07 = 320'd0,
    INITVAL_08 = 320'd0, INITVAL_09 = 320'd0, INITVAL_0A = 320'd0, INITVAL_0B = 320'd0, INITVAL_0C
    = 320'd0, INITVAL_0D = 320'd0, INITVAL_0E = 320'd0, INITVAL_0F = 320'd0, INITVAL_10 = 320'd0,
    INITVAL_11 = 320'd0, INITVAL_12 = 320'd0, INITVAL_13 = 320'd0, INITVAL_14 = 320'd0, INITVAL_15
    = 320'd0, INITVAL_16 = 320'd0, INITVAL_17 = 320'd0, INITVAL_18 = 320'd0, INITVAL_19 = 320'd0,
    INITVAL_1A = 320'd0, INITVAL_1B = 320'd0, INITVAL_1C = 320'd0, INITVAL_1D = 320'd0, INITVAL_1E
    = 320'd0, INITVAL_1F = 320'd0, INITVAL_20 = 320'd0, INITVAL_21 = 320'd0, INITVAL_22 = 320'd0,
    INITVAL_23 = 320'd0, INITVAL_24 = 320'd0, INITVAL_25 = 320'd0, INITVAL_26 = 320'd0, INITVAL_27
    = 320'd0, INITVAL_28 = 320'd0, INITVAL_29 = 320'd0, INITVAL_2A = 320'd0, INITVAL_2B = 320'd0,
    INITVAL_2C = 320'd0, INITVAL_2D = 320'd0, INITVAL_2E = 320'd0, INITVAL_2F = 320'd0, INITVAL_30
    = 320'd0, INITVAL_31 = 320'd0, INITVAL_32 = 320'd0, INITVAL_33 = 320'd0, INITVAL_34 = 320'd0,
    INITVAL_35 = 320'd0, INITVAL_36 = 320'd0, INITVAL_37 = 320'd0, INITVAL_38 = 320'd0, INITVAL_39
    = 320'd0, INITVAL_3A = 320'd0, INITVAL_3B = 320'd0, INITVAL_3C = 320'd0, INITVAL_3D = 320'd0,
    INITVAL_3E = 320'd0, INITVAL_3F = 320'd0,
  parameter GSR = "ENABLED"
) (
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0, ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4,
    ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0, ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4,
    ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
  function [255:0] data(input [319:0] words);
    integer n;
    for (n = 0; n < 16; n = n + 1) data[16*n +: 16] = {words[20*n+9 +: 8], words[20*n +: 8]};
  endfunction

  function [31:0] parity(input [319:0] words);
    integer n;
    for (n = 0; n < 16; n = n + 1) parity[2*n +: 2] = {words[20*n+17], words[20*n+8]};
  endfunction

  function [7:0] enables(input integer width, input write, input [3:0] low);
    enables = !write ? 0 : width == 36 ? low : width == 18 ? low[1:0] : 1;
  endfunction

  wire [35:0] dib_dia = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8,
      DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [71:0] do_a, do_b;
  ecoformer_block_ram #(
    .LOG_BYTES(11), .READ_A(DATA_WIDTH_A), .WRITE_A(DATA_WIDTH_A),
    .READ_B(DATA_WIDTH_B), .WRITE_B(DATA_WIDTH_B),
    .MODE_A(WRITEMODE_A == "NORMAL" ? 0 : WRITEMODE_A == "READBEFOREWRITE" ? 1 : 2),
    .MODE_B(WRITEMODE_B == "NORMAL" ? 0 : WRITEMODE_B == "READBEFOREWRITE" ? 1 : 2),
    .DATA({
      data(INITVAL_3F), data(INITVAL_3E), data(INITVAL_3D), data(INITVAL_3C),
      data(INITVAL_3B), data(INITVAL_3A), data(INITVAL_39), data(INITVAL_38),
      data(INITVAL_37), data(INITVAL_36), data(INITVAL_35), data(INITVAL_34),
      data(INITVAL_33), data(INITVAL_32), data(INITVAL_31), data(INITVAL_30),
      data(INITVAL_2F), data(INITVAL_2E), data(INITVAL_2D), data(INITVAL_2C),
      data(INITVAL_2B), data(INITVAL_2A), data(INITVAL_29), data(INITVAL_28),
      data(INITVAL_27), data(INITVAL_26), data(INITVAL_25), data(INITVAL_24),
      data(INITVAL_23), data(INITVAL_22), data(INITVAL_21), data(INITVAL_20),
      data(INITVAL_1F), data(INITVAL_1E), data(INITVAL_1D), data(INITVAL_1C),
      data(INITVAL_1B), data(INITVAL_1A), data(INITVAL_19), data(INITVAL_18),
      data(INITVAL_17), data(INITVAL_16), data(INITVAL_15), data(INITVAL_14),
      data(INITVAL_13), data(INITVAL_12), data(INITVAL_11), data(INITVAL_10),
      data(INITVAL_0F), data(INITVAL_0E), data(INITVAL_0D), data(INITVAL_0C),
      data(INITVAL_0B), data(INITVAL_0A), data(INITVAL_09), data(INITVAL_08),
      data(INITVAL_07), data(INITVAL_06), data(INITVAL_05), data(INITVAL_04),
      data(INITVAL_03), data(INITVAL_02), data(INITVAL_01), data(INITVAL_00)
    }),
    .PARITY({
      parity(INITVAL_3F), parity(INITVAL_3E), parity(INITVAL_3D), parity(INITVAL_3C),
      parity(INITVAL_3B), parity(INITVAL_3A), parity(INITVAL_39), parity(INITVAL_38),
      parity(INITVAL_37), parity(INITVAL_36), parity(INITVAL_35), parity(INITVAL_34),
      parity(INITVAL_33), parity(INITVAL_32), parity(INITVAL_31), parity(INITVAL_30),
      parity(INITVAL_2F), parity(INITVAL_2E), parity(INITVAL_2D), parity(INITVAL_2C),
      parity(INITVAL_2B), parity(INITVAL_2A), parity(INITVAL_29), parity(INITVAL_28),
      parity(INITVAL_27), parity(INITVAL_26), parity(INITVAL_25), parity(INITVAL_24),
      parity(INITVAL_23), parity(INITVAL_22), parity(INITVAL_21), parity(INITVAL_20),
      parity(INITVAL_1F), parity(INITVAL_1E), parity(INITVAL_1D), parity(INITVAL_1C),
      parity(INITVAL_1B), parity(INITVAL_1A), parity(INITVAL_19), parity(INITVAL_18),
      parity(INITVAL_17), parity(INITVAL_16), parity(INITVAL_15), parity(INITVAL_14),
      parity(INITVAL_13), parity(INITVAL_12), parity(INITVAL_11), parity(INITVAL_10),
      parity(INITVAL_0F), parity(INITVAL_0E), parity(INITVAL_0D), parity(INITVAL_0C),
      parity(INITVAL_0B), parity(INITVAL_0A), parity(INITVAL_09), parity(INITVAL_08),
      parity(INITVAL_07), parity(INITVAL_06), parity(INITVAL_05), parity(INITVAL_04),
      parity(INITVAL_03), parity(INITVAL_02), parity(INITVAL_01), parity(INITVAL_00)
    })
  ) ram (
    .clk_a(CLKA), .en_a(CEA), .rst_a(RSTA), .di_a({36'd0, dib_dia}), .do_a(do_a),
    .we_a(enables(DATA_WIDTH_A, WEA, {ADA3, ADA2, ADA1, ADA0})),
    .addr_a({2'd0, ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2,
        ADA1, ADA0}),
    .clk_b(CLKB), .en_b(CEB), .rst_b(RSTB), .di_b({54'd0, dib_dia[35:18]}), .do_b(do_b),
    .we_b(enables(DATA_WIDTH_B, WEB, {ADB3, ADB2, ADB1, ADB0})),
    .addr_b({2'd0, ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2,
        ADB1, ADB0})
  );
  // What is asked for and, with OUTREG, a cycle later; a width of 36 has one clock for both halves.
  wire [17:0] a_now = DATA_WIDTH_B == 36 ? do_b[17:0] : do_a[17:0];
  wire [17:0] b_now = DATA_WIDTH_B == 36 ? do_b[35:18] : do_b[17:0];
  reg [17:0] a_held, a_wide, b_held;
  always @(posedge CLKA) if (OCEA) a_held <= RSTA ? 0 : a_now;
  always @(posedge CLKB) if (OCEB) begin
    a_wide <= RSTB ? 0 : a_now;
    b_held <= RSTB ? 0 : b_now;
  end
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
      DOA4, DOA3, DOA2, DOA1, DOA0} =
    REGMODE_A == "NOREG" ? a_now : DATA_WIDTH_B == 36 ? a_wide : a_held;
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
      DOB4, DOB3, DOB2, DOB1, DOB0} =
    REGMODE_B == "NOREG" ? b_now : b_held;
endmodule
