# SPDX-License-Identifier: Apache-2.0
"""Verilog of an engine, made once per process: tests ask for the same few engines many times."""

from functools import cache

from ecoformer.hw.emit.verilog import emit

__all__ = ["emitted"]

emitted = cache(emit)
