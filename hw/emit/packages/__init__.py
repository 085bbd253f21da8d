# SPDX-License-Identifier: Apache-2.0
"""An engine packaged for other flows: FuseSoC, IP-XACT, Vivado, LiteX, Verilog, Amaranth."""
