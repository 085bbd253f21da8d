# SPDX-License-Identifier: Apache-2.0
from ecoformer.progress import Progress


class RecordedProgress(Progress):
    """Keeps what is reported: ``updates`` of (stage, done, total), and ``lines``."""

    def __init__(self):
        self.updates = []
        self.lines = []

    def update(self, stage, done, total):
        self.updates.append((stage, done, total))

    def line(self, text):
        self.lines.append(text)
