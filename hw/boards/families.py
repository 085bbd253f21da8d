# SPDX-License-Identifier: Apache-2.0
"""The families of FPGAs that boards have."""

from ecoformer.hw.boards.ecp5 import ECP5
from ecoformer.hw.boards.gowin import GOWIN
from ecoformer.hw.boards.ice40 import ICE40

__all__ = ["FAMILIES"]

FAMILIES = {family.target: family for family in (ECP5, GOWIN, ICE40)}
