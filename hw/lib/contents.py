# SPDX-License-Identifier: Apache-2.0
"""Memories and registers that hold something from the start."""

__all__ = ["CONTENTS", "POWER_UP"]

CONTENTS = {"contents": 1}
"""Marks a memory whose initial contents matter, even if all of them are 0."""
POWER_UP = {"power_up": 1}
"""Marks a register whose initial value matters: it is used before anything could reset it."""
