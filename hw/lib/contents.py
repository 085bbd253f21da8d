# SPDX-License-Identifier: Apache-2.0
"""Memories that hold something from the start."""

__all__ = ["CONTENTS"]

CONTENTS = {"contents": 1}
"""Marks a memory whose initial contents matter, even if all of them are 0."""
