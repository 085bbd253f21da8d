# SPDX-License-Identifier: Apache-2.0
"""EcoFormer attention in hardware: contract, golden model, generator and simulation."""

__version__ = "0.2.0"
