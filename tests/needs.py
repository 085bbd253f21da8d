"""Marks for tests that need a program which is no Python package."""

import shutil

import pytest

icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="needs Icarus Verilog (Debian: apt install iverilog)"
)
