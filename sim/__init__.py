"""Simulation: builds, benches, cycles, bit-exact verification; neither torch nor Amaranth."""
