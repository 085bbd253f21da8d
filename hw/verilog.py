"""Verilog text of an engine."""

from amaranth.back import verilog

from hw.top import Top

__all__ = ["emit"]


def emit(config, name="ecoformer_engine"):
    """Synthesizable Verilog-2005 of the pin-level top; the same bytes for the same configuration.

    Parameters
    ----------
    config : Config
    name : str
        Name of the top module.
    """
    return verilog.convert(Top(config), name=name, emit_src=False, strip_internal_attrs=False)
