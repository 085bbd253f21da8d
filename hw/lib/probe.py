# SPDX-License-Identifier: Apache-2.0
"""Signals that only benches read."""

__all__ = ["PROBE"]

PROBE = {"keep": 1}
"""Marks signals only benches read: kept in the Verilog, removed by synthesis."""
