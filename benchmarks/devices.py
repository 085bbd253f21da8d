# SPDX-License-Identifier: Apache-2.0
"""The FPGA that figures are placed and routed for."""

__all__ = ["ECP5"]

ECP5 = {"device": "85k", "speed": 6}
"""LFE5U-85F, speed grade 6, the slowest."""
