# SPDX-License-Identifier: Apache-2.0
"""Simulation: builds, benches, cycles, bit-exact verification; neither torch nor Amaranth."""
