"""Verilog of an engine, made once per process: tests ask for the same few engines many times."""

from functools import cache

from hw.verilog import emit

__all__ = ["emitted"]

emitted = cache(emit)
