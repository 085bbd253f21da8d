# SPDX-License-Identifier: Apache-2.0
"""The boards, and the pins that amaranth-boards knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from ecoformer.errors import EcoformerError

__all__ = ["BOARDS", "Board", "Pad", "find_board"]


@dataclass(frozen=True)
class Pad:
    """A pin of the package.

    Parameters
    ----------
    site : str
    attributes : dict of str to str
        Of its buffer.
    inverted : bool
        Whether a light there is on while the pin is low.
    """

    site: str
    attributes: Mapping[str, str]
    inverted: bool = False


@dataclass(frozen=True)
class Board:
    """A board with an ECP5, an oscillator and a serial port.

    Parameters
    ----------
    name, title : str
    platforms : dict of str to str
        Class in amaranth-boards by device, which is called as nextpnr does; the default first.
    package, speed : str, int
        Of the device, as nextpnr calls them.
    clock, light : str
        Resources: the oscillator; a light, with its part if it has several.
    serial : str
        What the serial port is, for the user.
    programmer : str
        What ``openFPGALoader -b`` calls the board.
    header : tuple of str
        Pins in and out of the connector ``io`` that are the serial port, where amaranth-boards has
        none.
    """

    name: str
    title: str
    platforms: Mapping[str, str]
    package: str
    speed: int
    clock: str
    light: str
    serial: str
    programmer: str
    header: tuple[str, ...] = ()

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices with which the board is sold; the default first."""
        return tuple(self.platforms)

    def oscillator(self, device: str) -> int:
        """Frequency of the oscillator in Hz."""
        return round(self._platform(device).lookup(self.clock).clock.frequency)

    def pads(self, device: str) -> dict[str, Pad]:
        """The pads of ``clk``, ``rx``, ``tx`` and ``light``."""
        from amaranth.build import Subsignal

        platform = self._platform(device)

        def ports(name):
            parts = {io.name: "-" for io in platform.lookup(name).ios if isinstance(io, Subsignal)}
            return platform.request(name, dir=parts or "-")

        light, _, part = self.light.partition(".")
        serial, lamp = ports("uart"), ports(light)
        return {
            "clk": _pad(ports(self.clock)),
            "rx": _pad(serial.rx),
            "tx": _pad(serial.tx),
            "light": _pad(getattr(lamp, part) if part else lamp),
        }

    def _platform(self, device):
        from amaranth.build import Attrs, Pins, Resource, Subsignal
        from amaranth_boards import icepi_zero, orangecrab_r0_2, ulx3s

        known = vars(ulx3s) | vars(icepi_zero) | vars(orangecrab_r0_2)
        platform = known[self.platforms[device]]()
        if self.header:
            rx, tx = (
                Subsignal(name, Pins(pin, dir=direction, conn=("io", 0)))
                for name, pin, direction in zip(("rx", "tx"), self.header, "io")
            )
            buffers = Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")
            platform.add_resources([Resource("uart", 0, rx, tx, buffers)])
        return platform


def _pad(port):
    """The pad of a port of one pin, which may be ``invert``ed."""
    (metadata,), (inverted,) = port.io.metadata, port.invert
    return Pad(metadata.name, dict(metadata.attrs), inverted)


FTDI = "the USB connector, through the board's FTDI chip"
BOARDS = {
    board.name: board
    for board in (
        Board(
            name="ulx3s",
            title="Radiona ULX3S",
            platforms={
                "85k": "ULX3S_85F_Platform", "45k": "ULX3S_45F_Platform",
                "25k": "ULX3S_25F_Platform", "12k": "ULX3S_12F_Platform",
            },
            package="CABGA381",
            speed=6,
            clock="clk25",
            light="led",
            serial=FTDI,
            programmer="ulx3s",
        ),
        Board(
            name="icepi-zero",
            title="Icepi Zero",
            platforms={"25k": "IcepiZero1_3Platform"},
            package="CABGA256",
            speed=6,
            clock="clk50",
            light="led",
            serial=FTDI,
            programmer="icepi-zero",
        ),
        Board(
            name="orangecrab",
            title="OrangeCrab r0.2",
            platforms={"25k": "OrangeCrabR0_2_25FPlatform", "85k": "OrangeCrabR0_2_85FPlatform"},
            package="CSFBGA285",
            speed=8,
            clock="clk",
            light="rgb_led.g",
            serial="pins 0 (in) and 1 (out) of its header, 3.3 V, through an adapter to USB",
            programmer="orangecrab",
            header=("0", "1"),
        ),
    )
}


def find_board(name: str) -> Board:
    """The board called ``name``; raises `EcoformerError` if there is none."""
    if name not in BOARDS:
        raise EcoformerError(f"board {name!r}: not known; choose {', '.join(BOARDS)}")
    return BOARDS[name]
