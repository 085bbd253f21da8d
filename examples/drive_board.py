# SPDX-License-Identifier: Apache-2.0
"""One program for a board and for its simulation: load parameters, attend, read counters.

On a board that 'ecoformer board ulx3s -c smallest -o board' made:

    python examples/drive_board.py board/engine /dev/ttyUSB0
"""

import sys

import numpy as np

from ecoformer.driver.device import Device
from ecoformer.driver.serial_port import open_serial


def program(device, rng):
    """What the user does with a device, whatever is behind it: tokens, values, sets, results."""
    sets = device.load()
    x = rng.integers(-128, 128, (6, 5, device.design.head_dim))  # six sequences of five tokens
    v = rng.integers(-128, 128, (6, 5, device.design.value_dim))
    chosen = np.arange(6) % sets
    return x, v, chosen, device.attend(x, v, chosen)


def main():
    folder, port = sys.argv[1:]
    with Device(folder, open_serial(port)) as device:
        *_, results = program(device, np.random.default_rng(0))
        print(f"{results.size} words; counters {device.counters()}; errors {device.errors()}")


if __name__ == "__main__":
    main()
