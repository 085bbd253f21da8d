# SPDX-License-Identifier: Apache-2.0
"""Block diagrams, drawn by code so that their style is one.

Run as a script, it writes the picture that the README shows.
"""

from __future__ import annotations

from pathlib import Path

from svg import STYLE, Drawing

__all__ = ["DIAGRAMS", "OVERVIEW", "datapath", "overview", "workers"]

OVERVIEW = Path(__file__).parents[1] / "images" / "overview.svg"


def overview() -> Drawing:
    """What goes in, what comes out, and what is compared with what."""
    d = Drawing(760, 300, "From a configuration and learned parameters to verified hardware")
    d.box(10, 40, 150, 56, ["config.toml", "sizes, rate, hash family"])
    d.box(10, 150, 150, 72, ["network", "trained here, or yours", "converted"])
    d.box(220, 150, 150, 72, ["golden model", "learns the hashes,", "float, PyTorch"])
    d.box(430, 150, 150, 72, ["integer model", "defines every bit,", "numpy"], "check")
    d.box(430, 28, 150, 80, ["generator", "Amaranth → Verilog,", "any size, any rate"], "main")
    d.box(640, 28, 110, 80, ["your FPGA", "AXI4-Stream,", "AXI4-Lite"])
    d.arrow((160, 68), (430, 68))
    d.arrow((160, 186), (220, 186))
    d.arrow((370, 186), (430, 186))
    d.text(400, 178, "int8", "small muted")
    d.arrow((580, 68), (640, 68))
    d.text(295, 60, "generate", "mono")
    d.text(190, 178, "train", "mono")
    d.arrow((505, 108), (505, 150))
    d.arrow((505, 150), (505, 108))
    d.text(515, 133, "equal, bit by bit", "small", "start")
    d.box(220, 252, 360, 40, ["cycle-accurate simulation of the Verilog: verify"], "check")
    d.arrow((505, 252), (505, 222))
    d.arrow((620, 68), (620, 272), (580, 272))
    return d


def datapath() -> Drawing:
    """The units that a token passes, and what flows between them."""
    d = Drawing(920, 300, "The units that a token passes")
    d.box(150, 20, 560, 268, (), "group")
    names = [
        (165, "Receiver", "beats → tokens,", "checks packets"),
        (275, "Hash unit", "x → code h,", "k cycles"),
    ]
    for x, *lines in names:
        d.box(x, 60, 95, 76, lines, "main")
    d.box(385, 36, 150, 124, (), "group")
    d.text(460, 54, "Attention core", "title")
    d.box(394, 62, 132, 40, ["key pass", "S += h·vᵀ, z += h"], "main")
    d.box(394, 112, 132, 40, ["query pass", "hᵀS, hᵀz"], "main")
    d.box(550, 60, 75, 76, ["Divider", "num / den,", "rounded"], "main")
    d.box(637, 60, 65, 76, ["Sender", "words →", "beats"], "main")
    d.arrow((70, 98), (165, 98))
    d.text(62, 94, "s_axis", "mono", "end")
    d.text(62, 110, "tokens x, v", "small muted", "end")
    d.arrow((260, 98), (275, 98))
    d.arrow((370, 98), (385, 98))
    d.arrow((535, 98), (550, 98))
    d.arrow((625, 98), (637, 98))
    d.arrow((702, 98), (790, 98))
    d.text(798, 94, "m_axis", "mono", "start")
    d.text(798, 110, "results", "small muted", "start")
    d.box(264, 180, 117, 40, ["Parameters", "sets + 1 shadow"])
    d.arrow((322, 180), (322, 136))
    d.box(394, 176, 132, 44, ["State banks, ring", "sums, waiting codes"])
    d.arrow((440, 176), (440, 160))
    d.arrow((480, 160), (480, 176))
    d.box(165, 240, 537, 38, ["Register file: errors, counters, parameters, interrupt"])
    d.arrow((322, 240), (322, 220))
    d.arrow((70, 259), (165, 259))
    d.text(62, 263, "s_axil", "mono", "end")
    d.arrow((702, 259), (790, 259))
    d.text(798, 263, "irq", "mono", "start")
    return d


def workers() -> Drawing:
    """Several engines behind one pair of ports."""
    d = Drawing(760, 190, "Several engines take packets in turn")
    d.box(20, 70, 90, 50, ["Receiver"], "main")
    d.box(150, 70, 90, 50, ["Splitter", "in turn"])
    for y, lines in ((10, "Worker 0"), (70, "Worker 1"), (130, "Worker n-1")):
        d.box(290, y, 230, 50, [lines, "buffer, hash, core, divider, buffer"], "main")
        d.arrow((240, 95), (265, 95), (265, y + 25), (290, y + 25))
        d.arrow((520, y + 25), (545, y + 25), (545, 95), (570, 95))
    d.box(570, 70, 80, 50, ["Joiner", "in turn"])
    d.box(680, 70, 70, 50, ["Sender"], "main")
    d.arrow((110, 95), (150, 95))
    d.arrow((650, 95), (680, 95))
    return d


DIAGRAMS = {"overview": overview, "datapath": datapath, "workers": workers}

if __name__ == "__main__":
    OVERVIEW.write_text(overview().render(STYLE))
