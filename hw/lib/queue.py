# SPDX-License-Identifier: Apache-2.0
"""A deep buffer in block RAM."""

from amaranth.hdl import Module
from amaranth.lib.fifo import SyncFIFOBuffered

__all__ = ["DeepBuffer"]


class DeepBuffer(SyncFIFOBuffered):
    """First-in first-out queue; one entry more than its memory holds waits at the output.

    No entry is read while it is written. Without that promise Yosys would add bypass logic to every
    bit, to return the old contents.
    """

    def elaborate(self, platform) -> Module:
        m = super().elaborate(platform)
        m.submodules.storage.attrs.update(ram_style="block", no_rw_check=1)
        return m
