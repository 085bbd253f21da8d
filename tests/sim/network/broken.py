# SPDX-License-Identifier: Apache-2.0
"""Faults written into the Verilog of a network by hand."""

import re

__all__ = ["FAULTS", "broken"]


def _module(text, path):
    """Start and end of a module."""
    start = re.search(rf"^module \\?{re.escape(path)}[ (]", text, re.MULTILINE).start()
    return start, text.index("endmodule", start)


def _within(text, path, change):
    start, end = _module(text, path)
    changed = change(text[start:end])
    assert changed != text[start:end], path
    return text[:start] + changed + text[end:]


def _flip(memory, row, bit):
    """Flip a bit of the initial contents of a memory; below 0: from the top."""
    def change(text):
        def flipped(found):
            width = int(found[2])
            number = int(found[3], 16) ^ 1 << bit % width
            return f"{found[1]}{width}'h{number:0{-(-width // 4)}x}"

        return re.sub(rf"(\b{memory}\[{row}\] = )(\d+)'h([0-9a-f]+)", flipped, text)

    return change


def _swap(memory, one, other):
    """Swap two rows of a memory."""
    def change(text):
        rows = {r: re.search(rf"\b{memory}\[{r}\] = (\S+);", text)[1] for r in (one, other)}
        for row, value in ((one, rows[other]), (other, rows[one])):
            text = re.sub(rf"(\b{memory}\[{row}\] = )\S+;", rf"\g<1>{value};", text)
        return text

    return change


def _pins(valid="1'b1", ready="m_axis_tready", last="1'b0", user="1'b0"):
    """A counter of the answers that left, and changes of pins by it."""
    def change(text):
        (tlast,) = re.findall(r"assign m_axis_tlast = (.*);", text)
        (tuser,) = re.findall(r"assign m_axis_tuser = (.*);", text)
        extra = (
            f"  reg [7:0] answers;\n  always @(posedge aclk) if (rst) answers <= 8'd0;\n"
            f"    else if (o__valid & ({ready}) & {tlast}) answers <= answers + 8'd1;\n"
        )
        for old, new in (
            ("= o__valid & aresetn;", f"= o__valid & aresetn & {valid};"),
            (".o__ready(m_axis_tready)", f".o__ready({ready})"),
            (f"m_axis_tlast = {tlast};", f"m_axis_tlast = {tlast} ^ ({last} & {tlast});"),
            (f"m_axis_tuser = {tuser};", f"m_axis_tuser = {tuser} ^ ({user} & {tlast});"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        return text + extra

    return change


def _slow(cycles):
    """A token of a layer begins ``cycles`` after the one before at the earliest."""
    def change(text):
        (start,) = re.findall(r"assign start = (.*);", text)
        return text.replace(
            f"assign start = {start};",
            f"reg [15:0] since;\n  assign start = {start} & since > {cycles};\n"
            "  always @(posedge clk) since <= rst ? 16'd4000 : start ? 16'd0 : since + 16'd1;",
        )

    return change


NETWORK = "ecoformer_network"
LOST = {"valid": "(answers != 8'd1)", "ready": "m_axis_tready | answers == 8'd1"}
FAULTS = {
    "flipped weight": ("network.block_0.up", _flip("weights", 1, 0)),
    "wrong shift": ("network.block_0.down", _flip("constants", 1, -5)),
    "swapped element": ("network.positions", _swap("rows", 5, 6)),
    "answer lost": ("", _pins(**LOST)),
    "wrong tlast": ("", _pins(last="(answers == 8'd1)")),
    "wrong tuser": ("", _pins(user="(answers == 8'd1)")),
    "slow layer": ("network.block_0.up", _slow(24)),
}
"""Path of a module below the top, and how its text is changed."""


def broken(text, fault):
    """``text`` of a network called `NETWORK` with a fault."""
    path, change = FAULTS[fault]
    return _within(text, f"{NETWORK}.{path}" if path else NETWORK, change)
