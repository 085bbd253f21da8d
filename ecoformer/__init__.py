"""EcoFormer attention in hardware: the contract between golden model, hardware and simulation."""

__version__ = "0.2.0"
