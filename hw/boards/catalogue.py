# SPDX-License-Identifier: Apache-2.0
"""The boards, and the pins that amaranth-boards knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """A board with an FPGA, an oscillator and a serial port.

    Parameters
    ----------
    name, title : str
    target : str
        Family of its FPGA, a key of `hw.boards.families.FAMILIES`.
    platforms : dict of str to str
        Class in amaranth-boards by device, which is called as in `hw.synth.targets`; the default
        first.
    clock, light : str
        Resources: the oscillator; a light, with its part if it has several.
    serial : str
        What the serial port is, for the user.
    programmer : str
        What ``openFPGALoader -b`` calls the board.
    preset : str
        Engine by default.
    baud : int
        Rate of the serial port by default: the fastest that whatever is behind it is sure to do.
    frame_bytes : int
        Longest payload of a frame by default: where there is room a block RAM each way, which is
        little beside the time to answer.
    clock_hz : int or None
        Clock of a design by default; that of the oscillator if None.
    package : tuple of str
        What selects the package of the device in place and route, where the device does not.
    speed : int or None
        Speed grade of the device, where place and route asks for it.
    header : tuple of str
        Pins in and out of the connector ``io`` that are the serial port, where amaranth-boards has
        none.
    attributes : dict of str to dict
        Those of a pad, by its port, that amaranth-boards has otherwise.
    """

    name: str
    title: str
    target: str
    platforms: Mapping[str, str]
    clock: str
    light: str
    serial: str
    programmer: str
    preset: str = "smallest"
    baud: int = 3_000_000
    frame_bytes: int = 2_048
    clock_hz: int | None = None
    package: tuple[str, ...] = ()
    speed: int | None = None
    header: tuple[str, ...] = ()
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

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
        pads = {
            "clk": ports(self.clock), "rx": serial.rx, "tx": serial.tx,
            "light": getattr(lamp, part) if part else lamp,
        }
        return {name: _pad(port, self.attributes.get(name, {})) for name, port in pads.items()}

    def _platform(self, device):
        from amaranth.build import Attrs, Pins, Resource, Subsignal
        from amaranth_boards import icebreaker, icepi_zero, orangecrab_r0_2, tang_nano_9k, ulx3s

        modules = (ulx3s, icepi_zero, orangecrab_r0_2, tang_nano_9k, icebreaker)
        known = {name: found for module in modules for name, found in vars(module).items()}
        platform = known[self.platforms[device]]()
        if self.header:
            rx, tx = (
                Subsignal(name, Pins(pin, dir=direction, conn=("io", 0)))
                for name, pin, direction in zip(("rx", "tx"), self.header, "io")
            )
            buffers = Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")
            platform.add_resources([Resource("uart", 0, rx, tx, buffers)])
        return platform


def _pad(port, attributes):
    """The pad of a port of one pin, which may be ``invert``ed."""
    (metadata,), (inverted,) = port.io.metadata, port.invert
    return Pad(metadata.name, dict(metadata.attrs) | dict(attributes), inverted)


FTDI = "the USB connector, through the board's FTDI chip"
ECP5_HZ = 100_000_000
"""What most engines reach on an ECP5."""
BOARDS = {
    board.name: board
    for board in (
        Board(
            name="ulx3s",
            title="Radiona ULX3S",
            target="ecp5",
            platforms={
                "85k": "ULX3S_85F_Platform", "45k": "ULX3S_45F_Platform",
                "25k": "ULX3S_25F_Platform", "12k": "ULX3S_12F_Platform",
            },
            package=("--package", "CABGA381"),
            speed=6,
            clock_hz=ECP5_HZ,
            clock="clk25",
            light="led",
            serial=FTDI,
            programmer="ulx3s",
        ),
        Board(
            name="icepi-zero",
            title="Icepi Zero",
            target="ecp5",
            platforms={"25k": "IcepiZero1_3Platform"},
            package=("--package", "CABGA256"),
            speed=6,
            clock_hz=ECP5_HZ,
            clock="clk50",
            light="led",
            serial=FTDI,
            programmer="icepi-zero",
        ),
        Board(
            name="orangecrab",
            title="OrangeCrab r0.2",
            target="ecp5",
            platforms={"25k": "OrangeCrabR0_2_25FPlatform", "85k": "OrangeCrabR0_2_85FPlatform"},
            package=("--package", "CSFBGA285"),
            speed=8,
            clock_hz=ECP5_HZ,
            clock="clk",
            light="rgb_led.g",
            serial="pins 0 (in) and 1 (out) of its header, 3.3 V, through an adapter to USB",
            programmer="orangeCrab",
            header=("0", "1"),
        ),
        Board(
            name="tang-nano-9k",
            title="Sipeed Tang Nano 9K",
            target="gowin",
            platforms={"gw1n-9c": "TangNano9kPlatform"},
            clock="clk27",
            light="led",
            serial="the USB connector, through the board's BL702",
            programmer="tangnano9k",
            # The bank of the lights has 1.8 V.
            attributes={"light": {"IO_TYPE": "LVCMOS18"}},
        ),
        Board(
            name="icebreaker",
            title="iCEBreaker",
            target="ice40",
            platforms={"up5k": "ICEBreakerPlatform"},
            clock="clk12",
            light="led",
            serial=FTDI,
            programmer="ice40_generic",
            preset="up5k",
            frame_bytes=512,
        ),
    )
}


def find_board(name: str) -> Board:
    """The board called ``name``; raises `EcoformerError` if there is none."""
    if name not in BOARDS:
        raise EcoformerError(f"board {name!r}: not known; choose {', '.join(BOARDS)}")
    return BOARDS[name]
