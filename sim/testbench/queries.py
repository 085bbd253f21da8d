# SPDX-License-Identifier: Apache-2.0
"""What the generated testbench says of the stream of queries, where they come by themselves."""

from __future__ import annotations

from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config

__all__ = ["second_stream"]


def second_stream(config: Config) -> dict[str, str]:
    """Texts of the testbench by the words that stand for them; empty for a single stream."""
    words = dict.fromkeys(TEXTS, "") | SINGLE
    pins = {f"s_axis_q_{name}": bits for name, bits in selection(config).pins.items()}
    for _ in config.wire.inlets[1:]:
        beat = [*reversed(pins), "s_axis_q_tlast", "s_axis_q_tdata"]
        words = TEXTS | {
            "QUERY_BEAT": f"{{{', '.join(beat)}}}",
            "QUERY_REG": "".join(f"  reg [{n - 1}:0] {pin};\n" for pin, n in pins.items()),
            "QUERY_CLEAR": "".join(f"      {pin} <= {{{n}{{1'b0}}}};\n" for pin, n in pins.items()),
            "QUERY_PIN": "".join(f" .{pin}({pin})," for pin in reversed(pins)),
        }
    return words


SINGLE = {
    "BEGUN": "begun", "STARVES": "!opening && !s_axis_tvalid", "READY": "s_axis_tready",
    "READIES": "4",
}
"""Texts of which something is left with a single stream."""


TEXTS = {
    "QUERY_MEMORY": """\
  localparam QUERIES = @QUERIES@;
  reg [DATA+USER:0] queries [0:QUERIES-1];
""",
    "QUERY_PINS": """\
  reg [DATA-1:0] s_axis_q_tdata;
  reg s_axis_q_tvalid, s_axis_q_tlast;
@QUERY_REG@  wire s_axis_q_tready;
""",
    "QUERY_PORTS": """
    .s_axis_q_tdata(s_axis_q_tdata), .s_axis_q_tvalid(s_axis_q_tvalid),
    .s_axis_q_tready(s_axis_q_tready), .s_axis_q_tlast(s_axis_q_tlast),@QUERY_PIN@""",
    "QUERY_COUNTS": """\
  integer asked, may_ask, ask_again;
  wire [31:0] taken_queries = asked - {31'd0, s_axis_q_tvalid};
""",
    "QUERY_START": """\
    may_ask = 0;
    ask_again = 0;
""",
    "QUERY_READ": """\
    $sformat(path, "%0s/queries.hex", folder);
    check_path;
    $readmemh(path, queries);
""",
    "QUERY_RESET": """\
          may_ask = ask_again;
""",
    "QUERY_STEPS": """\
        @SEND_QUERIES@: begin
          may_ask = data;
          @(negedge aclk);
        end
        @SENT_QUERIES@: while (taken_queries < data && !over) @(negedge aclk);
        @RESTART@: ask_again = data;
""",
    "QUERY_SOURCE": """\
  always @(posedge aclk)
    if (!aresetn) begin
      asked <= ask_again;
      s_axis_q_tvalid <= 1'b0;
      s_axis_q_tlast <= 1'b0;
      s_axis_q_tdata <= {DATA{1'b0}};
@QUERY_CLEAR@    end else if (!s_axis_q_tvalid || s_axis_q_tready) begin
      s_axis_q_tvalid <= 1'b0;
      if (asked < may_ask && {1'b0, lfsr[3], lfsr[11], lfsr[19]} >= gap) begin
        s_axis_q_tvalid <= 1'b1;
        @QUERY_BEAT@ <= queries[asked];
        asked <= asked + 1;
      end
    end

""",
    "QUERY_OPENING": """\
  reg opening_queries;
  reg [31:0] begun_queries;
""",
    "QUERY_CLOSED": """\
      opening_queries <= 1'b1;
      begun_queries <= 32'd0;
""",
    "QUERY_OPENS": """\
      if (s_axis_q_tvalid && s_axis_q_tready) begin
        opening_queries <= s_axis_q_tlast;
        if (opening_queries) begun_queries <= begun_queries + 32'd1;
      end
""",
    "QUERY_MOVES": """\
        || (s_axis_q_tvalid && s_axis_q_tready)
""",
    "BEGUN": "(begun > begun_queries ? begun : begun_queries)",
    "STARVES": "(!opening && !s_axis_tvalid) || (!opening_queries && !s_axis_q_tvalid)",
    "READY": "s_axis_tready, s_axis_q_tready",
    "READIES": "5",
}
"""Texts for engines with a stream of queries."""
