# SPDX-License-Identifier: Apache-2.0
"""An AXI4-Lite master."""

from collections.abc import Sequence

from cocotb.triggers import Lock, RisingEdge
from cocotb.utils import get_sim_time

from ecoformer.sim.drivers.streams import Handle

__all__ = ["RegisterError", "RegisterPort"]


class RegisterError(Exception):
    """A register access was answered with SLVERR or not at all."""


class RegisterPort:
    """AXI4-Lite master on ``s_axil``, one access at a time; concurrent callers take turns.

    Parameters
    ----------
    patience : int
        Cycles to wait for an answer.
    """

    def __init__(self, dut: Handle, *, patience: int = 1000):
        self.dut, self.patience = dut, patience
        self._edge, self._turn = RisingEdge(dut.aclk), Lock()

    def start(self) -> None:
        """Drive every input to its idle value."""
        for name in ("awvalid", "wvalid", "arvalid", "awaddr", "wdata", "araddr"):
            getattr(self.dut, f"s_axil_{name}").value = 0
        self.dut.s_axil_wstrb.value = 0xF
        self.dut.s_axil_bready.value = 1
        self.dut.s_axil_rready.value = 1

    async def write(
        self, address: int, data: int, *, delays: tuple[int, int, int] = (0, 0, 0)
    ) -> None:
        """Write a 32-bit word; raises `RegisterError` unless it is answered OKAY.

        ``delays`` are the cycles to wait before address and data are offered and before a response
        is accepted.
        """
        _, response = await self.try_write(address, data, delays=delays)
        self._check("write to", address, response)

    async def read(self, address: int, *, delay: int = 0) -> int:
        """The 32-bit word at ``address``; raises `RegisterError` unless answered OKAY.

        ``delay`` cycles pass before an answer is accepted.
        """
        _, response, data = await self.try_read(address, delay=delay)
        self._check("read of", address, response)
        return data

    async def try_write(
        self,
        address: int,
        data: int,
        *,
        strobe: int = 0xF,
        delays: tuple[int, int, int] = (0, 0, 0),
    ) -> tuple[float, int | None]:
        """Write the bytes ``strobe`` of a word.

        Returns
        -------
        float
            Time in ns of the edge at which it was taken.
        int or None
            Response; None without one.
        """
        async with self._turn:
            return await self._write(address, data, strobe, delays)

    async def try_read(
        self, address: int, *, delay: int = 0
    ) -> tuple[float, int | None, int]:
        """Read a word: time in ns of the edge at which it was taken, response or None, data."""
        async with self._turn:
            return await self._read(address, delay)

    async def burst(
        self,
        accesses: Sequence[tuple[int, tuple[int, int] | None]],
        *,
        lead: int = 0,
        hold: int = 0,
    ) -> list[tuple[int | None, int]]:
        """Access registers without waiting for the answers: response, or None, and data of each.

        Parameters
        ----------
        accesses : sequence of (int, (int, int) or None)
            Address, and data and strobe of a write; None: a read.
        lead : int
            Cycles by which addresses are offered before data; below 0: after them.
        hold : int
            Cycles in which nothing is accepted.
        """
        async with self._turn:
            return await self._burst(accesses, lead, hold)

    async def _burst(self, accesses, lead, hold):
        dut = self.dut
        writes = [i for i, (_, write) in enumerate(accesses) if write]
        reads = [i for i, (_, write) in enumerate(accesses) if not write]
        answers: list[tuple[int | None, int]] = [(None, 0)] * len(accesses)
        taken = dict.fromkeys(("aw", "w", "ar", "b", "r"), 0)
        numbers = {"aw": writes, "w": writes, "b": writes, "ar": reads, "r": reads}
        start = {"aw": -lead, "w": lead, "ar": 0}

        def offer(channel, cycle):
            waiting = numbers[channel][taken[channel] :]
            getattr(dut, f"s_axil_{channel}valid").value = bool(waiting) and cycle >= start[channel]
            if not waiting:
                return
            address, write = accesses[waiting[0]]
            if channel == "w":
                dut.s_axil_wdata.value, dut.s_axil_wstrb.value = write
            else:
                getattr(dut, f"s_axil_{channel}addr").value = address

        for cycle in range(self.patience + hold):
            if taken["b"] == len(writes) and taken["r"] == len(reads):
                break
            for channel in start:
                offer(channel, cycle)
            dut.s_axil_bready.value = dut.s_axil_rready.value = int(cycle >= hold)
            await self._edge
            for channel, first in start.items():
                due = cycle >= first and taken[channel] < len(numbers[channel])
                taken[channel] += due and bool(getattr(dut, f"s_axil_{channel}ready").value)
            for channel in ("b", "r"):
                valid = getattr(dut, f"s_axil_{channel}valid").value
                if valid and cycle >= hold and taken[channel] < len(numbers[channel]):
                    data = int(dut.s_axil_rdata.value) if channel == "r" else 0
                    response = int(getattr(dut, f"s_axil_{channel}resp").value)
                    answers[numbers[channel][taken[channel]]] = response, data
                    taken[channel] += 1
        for channel in start:
            getattr(dut, f"s_axil_{channel}valid").value = 0
        dut.s_axil_wstrb.value = 0xF
        dut.s_axil_bready.value = dut.s_axil_rready.value = 1
        return answers

    async def _write(self, address, data, strobe, delays):
        dut, taken = self.dut, 0.0
        dut.s_axil_awaddr.value = address
        dut.s_axil_wdata.value = data
        dut.s_axil_wstrb.value = strobe
        offer = {"aw": delays[0], "w": delays[1]}
        dut.s_axil_bready.value = int(delays[2] == 0)
        answered = None
        for cycle in range(self.patience):
            for channel, start in offer.items():
                if start == cycle:
                    getattr(dut, f"s_axil_{channel}valid").value = 1
            await self._edge
            for channel, start in list(offer.items()):
                if start <= cycle and getattr(dut, f"s_axil_{channel}ready").value:
                    del offer[channel]
                    taken = get_sim_time("ns")
                    getattr(dut, f"s_axil_{channel}valid").value = 0
            if dut.s_axil_bvalid.value:
                answered = cycle if answered is None else answered
                if cycle >= answered + delays[2]:
                    return taken, int(dut.s_axil_bresp.value)
                if cycle + 1 == answered + delays[2]:
                    dut.s_axil_bready.value = 1
            elif answered is not None:
                break  # withdrawn
        dut.s_axil_awvalid.value = 0
        dut.s_axil_wvalid.value = 0
        dut.s_axil_bready.value = 1
        return taken, None

    async def _read(self, address, delay):
        dut, taken = self.dut, 0.0
        dut.s_axil_araddr.value = address
        dut.s_axil_arvalid.value = 1
        dut.s_axil_rready.value = int(delay == 0)
        answered = None
        for cycle in range(self.patience):
            await self._edge
            if not taken and dut.s_axil_arready.value:
                taken = get_sim_time("ns")
                dut.s_axil_arvalid.value = 0
            if dut.s_axil_rvalid.value:
                answered = cycle if answered is None else answered
                if cycle >= answered + delay:
                    return taken, int(dut.s_axil_rresp.value), int(dut.s_axil_rdata.value)
                if cycle + 1 == answered + delay:
                    dut.s_axil_rready.value = 1
            elif answered is not None:
                break  # withdrawn
        dut.s_axil_arvalid.value = 0
        dut.s_axil_rready.value = 1
        return taken, None, 0

    @staticmethod
    def _check(what, address, response):
        if response is None:
            raise RegisterError(f"{what} register {address:#x} is not answered")
        if response:
            raise RegisterError(f"{what} register {address:#x} is answered {response:02b}")
