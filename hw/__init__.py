# SPDX-License-Identifier: Apache-2.0
"""The hardware: Amaranth components, the pin-level top, its Verilog, the FPGA flow; never torch."""
