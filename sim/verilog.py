# SPDX-License-Identifier: Apache-2.0
"""Verilog text from a file."""

from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.inputs import LARGEST, read_text

__all__ = ["read_verilog"]


def read_verilog(verilog: str | Path) -> str:
    """Text of ``verilog``, which is the text itself or the path of a file."""
    if isinstance(verilog, str) and "endmodule" in verilog:
        return verilog
    path = Path(verilog)
    try:
        return read_text(path, LARGEST)
    except (OSError, ValueError) as error:
        raise EcoformerError(f"{path}: cannot read Verilog ({error}); run 'generate'") from error
