# SPDX-License-Identifier: Apache-2.0
"""Trainings that are interrupted."""

from ecoformer.progress import Progress

__all__ = ["StopAfter"]


class StopAfter(Progress):
    """Interrupts the run, as a user would, when so many lines were reported."""

    def __init__(self, lines):
        self.lines = lines

    def line(self, text):
        self.lines -= 1
        if self.lines == 0:
            raise KeyboardInterrupt
