"""A deep buffer in block RAM."""

from amaranth.lib.fifo import SyncFIFOBuffered

__all__ = ["DeepBuffer"]


class DeepBuffer(SyncFIFOBuffered):
    """First in, first out; one entry more than its memory holds waits at the output.

    A place is never read while it is written, which Yosys is told: or it would put a register and
    a table per bit beside the memory, to answer with what was there before.
    """

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.submodules.storage.attrs.update(ram_style="block", no_rw_check=1)
        return m
