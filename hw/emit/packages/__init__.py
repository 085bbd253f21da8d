# SPDX-License-Identifier: Apache-2.0
"""An engine packaged for other flows: FuseSoC, IP-XACT, Vivado; templates in Verilog, Amaranth."""
