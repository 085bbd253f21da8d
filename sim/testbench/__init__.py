# SPDX-License-Identifier: Apache-2.0
"""The self-checking testbench in plain Verilog that every design comes with, and its vectors."""
