# SPDX-License-Identifier: Apache-2.0
"""From the pixels of an image, as they come, to the windows that the stem sees."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register, times
from ecoformer.hw.network.link import TokenLink
from ecoformer.spec.network.design import PIXEL_WIDTH, NetworkDesign

__all__ = ["Patches", "Pixel"]


class Pixel(data.StructLayout):
    """One beat of pixels: a byte per channel, the first lowest; ``last`` ends the image."""

    def __init__(self, design: NetworkDesign):
        super().__init__({"data": 8 * design.channels, "last": 1})


class Patches(wiring.Component):
    """Windows of kernel × kernel pixels in raster order, a token each.

    An image is worked on once it is complete, while the next one arrives. What ends before or after
    its last pixel is a bad image, which is worked on like any other, so that answers stay in order.

    Parameters
    ----------
    design : NetworkDesign

    Members
    -------
    i : ``In(stream.Signature(Pixel))``
    o : ``Out(TokenLink(PIXEL_WIDTH))``
        Elements by row, column and channel, the channel fastest.
    image : ``Out(1)``, bad : ``Out(1)``
        Strobe: an image is complete, and whether it had another number of pixels. Only while there
        is ``ready``.
    ready : ``In(1)``
        Another image may begin to be worked on.
    """

    IMAGES = 2
    """Images in memory: one arrives, one is worked on."""

    def __init__(self, design: NetworkDesign):
        self.design = design
        super().__init__(
            {
                "i": In(stream.Signature(Pixel(design))),
                "o": Out(TokenLink(PIXEL_WIDTH)),
                "image": Out(1),
                "bad": Out(1),
                "ready": In(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``o.begin`` to the token's last element."""
        d = self.design
        return d.channels * d.kernel**2 + 5

    def elaborate(self, platform) -> Module:
        m = Module()
        d = self.design
        page = (d.pixels - 1).bit_length()
        m.submodules.pixels = pixels = memory.Memory(
            shape=unsigned(8 * d.channels), depth=self.IMAGES << page, init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},
        )
        oldest, waiting, done = self._receive(m, pixels.write_port())
        self._walk(m, pixels.read_port(), oldest, waiting, done)
        return m

    def _receive(self, m, write):
        """Write the pixels of images; where the oldest lies, how many wait, and its end."""
        d = self.design
        place = Signal(range(d.pixels))
        over = Signal()  # all pixels have come, and the image has not ended
        arriving, oldest = Signal(), Signal()
        waiting = Signal(range(self.IMAGES + 1))
        done, take, last = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq((waiting != self.IMAGES) & self.ready),
            take.eq(self.i.valid & self.i.ready),
            last.eq(place == d.pixels - 1),
            self.image.eq(take & self.i.payload.last),
            self.bad.eq(~last | over),
            write.en.eq(delay(m, take & ~over, 1, name="write_enable", reset=True)),
            write.addr.eq(register(m, Cat(place, arriving), name="to")),
            write.data.eq(register(m, self.i.payload.data, name="write_data")),
        ]
        with m.If(take):
            m.d.sync += [place.eq(Mux(last, place, place + 1)), over.eq(last)]
        with m.If(self.image):
            m.d.sync += [place.eq(0), over.eq(0), arriving.eq(~arriving)]
        with m.If(done):
            m.d.sync += oldest.eq(~oldest)
        m.d.sync += waiting.eq(waiting + self.image - done)
        return oldest, waiting, done

    def _walk(self, m, read, oldest, waiting, done):
        """Send the windows of the oldest image, element by element."""
        d = self.design
        side, kernel, patch = d.image_size, d.kernel, d.patch
        counters = {
            "channel": d.channels, "column": kernel, "row": kernel,
            "token_column": side // patch, "token_row": side // patch,
        }
        at = {name: Signal(range(limit), name=name) for name, limit in counters.items()}
        ends = {name: at[name] == limit - 1 for name, limit in counters.items()}
        active = Signal()
        token_ends = Signal()
        image_ends = Signal()
        start = Signal()
        m.d.comb += [
            token_ends.eq(active & ends["channel"] & ends["column"] & ends["row"]),
            image_ends.eq(token_ends & ends["token_column"] & ends["token_row"]),
            done.eq(image_ends),
            # The next window begins behind the last element of this one, perhaps in another image.
            start.eq((~active | token_ends) & (waiting > image_ends) & self.o.room),
            self.o.begin.eq(start),
        ]
        with m.If(start):
            m.d.sync += active.eq(1)
        with m.Elif(token_ends):
            m.d.sync += active.eq(0)
        step = active
        for name in counters:
            with m.If(step):
                m.d.sync += at[name].eq(Mux(ends[name], 0, at[name] + 1))
            step = step & ends[name]

        # Rows and columns begin at -(patch - 1).
        row, column = (
            register(
                m, times(at[f"token_{axis}"], patch) + at[axis] - (patch - 1), name=f"pixel_{axis}"
            )
            for axis in ("row", "column")
        )
        within = [(place >= 0) & (place < side) for place in (row, column)]
        inside = register(m, within[0] & within[1], name="inside")
        address = register(m, (times(row, side) + column)[: len(read.addr) - 1], name="address")
        page = delay(m, oldest, 2, name="page")
        channel = delay(m, at["channel"], 3, name="from_channel")
        pixel = read.data.word_select(channel, 8)
        value = Signal(signed(PIXEL_WIDTH))
        m.d.comb += [
            read.addr.eq(Cat(address, page)),
            value.eq(Mux(delay(m, inside, 1, name="was_inside"), 2 * pixel - 255, 0)),
            self.o.element.eq(register(m, value, name="element")),
            self.o.valid.eq(delay(m, active, 4, name="valid", reset=True)),
        ]
