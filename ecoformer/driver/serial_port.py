# SPDX-License-Identifier: Apache-2.0
"""The serial port of a host, through pyserial."""

import time

from ecoformer.driver.errors import LinkError
from ecoformer.driver.framed import FramedTransport

__all__ = ["SerialPort", "open_serial"]

BAUD = 3_000_000


class SerialPort:
    """A serial port as a link.

    Parameters
    ----------
    name : str
        Such as ``/dev/ttyUSB0`` or ``COM3``.
    baud : int
        As the board was built.
    """

    settle = 0.05

    def __init__(self, name: str, baud: int = BAUD):
        try:
            import serial
        except ModuleNotFoundError:
            raise LinkError("serial port: Python package pyserial is missing; install it") from None
        try:
            self._port = serial.Serial(name, baud, timeout=0, write_timeout=None)
        except (OSError, ValueError) as error:
            raise LinkError(f"{name}: cannot be opened ({error}); check name and rights") from error
        self._port.reset_input_buffer()

    def write(self, data: bytes) -> None:
        """Send bytes; returns when they have left."""
        self._port.write(data)
        self._port.flush()

    def read(self, most: int, timeout: float) -> bytes:
        """At most ``most`` bytes, as soon as there is one; none after ``timeout`` seconds."""
        self._port.timeout = timeout
        first = self._port.read(1)
        return first + self._port.read(min(self._port.in_waiting, most - 1)) if first else b""

    def time(self) -> float:
        """Seconds of the host's clock."""
        return time.monotonic()

    def close(self) -> None:
        """Close the port."""
        self._port.close()


def open_serial(name: str, baud: int = BAUD) -> FramedTransport:
    """The transport to the board at a serial port."""
    return FramedTransport(SerialPort(name, baud))
