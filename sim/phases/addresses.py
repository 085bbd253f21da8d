# SPDX-License-Identifier: Apache-2.0
"""Addresses of registers, and bits in them, that scenes use."""

from __future__ import annotations

from ecoformer.spec.registers import REGISTERS

__all__ = [
    "COMMIT", "ENABLE", "ERRORS", "FREE", "IN_FLIGHT", "PARAM_ADDRESS", "PARAM_DATA", "STATUS",
]

ERRORS, ENABLE, STATUS, CONTROL, COMMIT, PARAM_DATA, PARAM_ADDRESS = (
    REGISTERS[name].offset for name in (
        "ERRORS", "IRQ_ENABLE", "STATUS", "CONTROL", "COMMIT", "PARAM_DATA", "PARAM_ADDRESS"
    )
)
FREE = REGISTERS["STATUS"]["SHADOW_FREE"].mask
IN_FLIGHT = REGISTERS["STATUS"]["BUSY"].mask
