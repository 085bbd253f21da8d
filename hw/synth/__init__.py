# SPDX-License-Identifier: Apache-2.0
"""The FPGA flow: an engine's Verilog mapped, placed and routed by open tools, and what they report.

Out of context: the engine's pins are ends of paths, not pads, so that the figures are those of the
engine and not of a board.
"""
