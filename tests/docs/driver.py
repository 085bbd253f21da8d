# SPDX-License-Identifier: Apache-2.0
"""A driver written from docs/integration.md alone: plain Python, nothing of ecoformer.

``port`` is anything with ``write(address, data)`` and ``read(address)`` of 32-bit registers.
"""

from math import ceil

ID, STATUS, ERRORS, IRQ_ENABLE = 0x00, 0x2C, 0x38, 0x3C
CONTROL, NEXT_SET = 0x30, 0x34
PARAM_ADDRESS, PARAM_DATA, COMMIT = 0x40, 0x44, 0x48
SHADOW_FREE, SOFT_RESET = 1 << 1, 1 << 0
REGIONS = {
    "anchors": 0, "bias": 1, "projection": 2, "threshold": 3, "scalars": 4,
    "query_anchors": 8, "query_bias": 9, "query_projection": 10, "query_threshold": 11,
}
SCALARS = {"rbf": ("shift", "offset"), "none": ("shift", "scale")}
WEIGHT_BITS = {"int8": 8, "pow2": 4, "ternary": 2}


def pack(c, tokens, values):
    """Beats of a packet as integers."""
    beats = []
    for token, v in zip(tokens, values, strict=True):
        half = len(token) // 2
        vectors = [token[:half], token[half:]] if c["queries"] == "separate" else [token]
        raw = b""
        for x in vectors:
            if c["hash"] == "codes":
                word = sum(1 << i for i, bit in enumerate(x) if bit > 0)
                raw += word.to_bytes(-(-c["code_bits"] // 8), "little")
            else:
                raw += bytes(e & 0xFF for e in x)
        raw += bytes(e & 0xFF for e in v)
        for start in range(0, len(raw), c["bus_bytes"]):
            beats.append(int.from_bytes(raw[start : start + c["bus_bytes"]], "little"))
    return beats


def pack_queries(c, queries):
    """Beats of a packet of queries on a stream of their own."""
    return pack(c, queries, [[] for _ in queries])


def unpack(c, beats):
    """Results of a packet's beats: N lists of E integers."""
    width = -(-c["output_width"] // 8)
    each = -(-c["value_dim"] * width // c["bus_bytes"])
    results = []
    for start in range(0, len(beats), each):
        raw = b"".join(beat.to_bytes(c["bus_bytes"], "little")
                       for beat in beats[start : start + each])
        results.append([int.from_bytes(raw[i * width : (i + 1) * width], "little", signed=True)
                        for i in range(c["value_dim"])])
    return results


class Fold:
    """How an array of inputs × outputs is cut into rows."""

    def __init__(self, inputs, outputs, k):
        cuts = []
        for s in range(1, min(outputs, k) + 1):
            output_lanes = ceil(outputs / s)
            input_lanes = ceil(inputs / min(inputs, k // ceil(outputs / output_lanes)))
            cuts.append((input_lanes * output_lanes, output_lanes, s, input_lanes))
        _, self.output_lanes, _, self.input_lanes = min(cuts)
        self.input_steps = ceil(inputs / self.input_lanes)
        self.output_steps = ceil(outputs / self.output_lanes)
        self.steps = self.input_steps * self.output_steps
        self.lanes = self.input_lanes * self.output_lanes

    def rows(self, matrix):
        """Rows of a matrix [outputs][inputs]."""
        rows = [[0] * self.lanes for _ in range(self.steps)]
        for o, line in enumerate(matrix):
            for i, element in enumerate(line):
                row = o // self.output_lanes * self.input_steps + i // self.input_lanes
                lane = o % self.output_lanes * self.input_lanes + i % self.input_lanes
                rows[row][lane] = element
        return rows


class Transform:
    """How the signs and thresholds of a Hadamard hash are cut into rows."""

    def __init__(self, inputs, outputs, k):
        size = 1
        while size < inputs:
            size *= 2
        cuts = []
        for lanes in (1 << n for n in range(size.bit_length())):
            several = range(size, outputs, size)
            parts = [1 << n for n in range(8) if lanes <= 1 << n < min(size, outputs)]
            for results in (outputs, *several, *parts):
                if ceil(inputs / lanes) * ceil(outputs / results) <= k:
                    levels = ceil(results / size) * lanes * (lanes.bit_length() - 1)
                    last = (3 if lanes >= inputs else 4) * results
                    cuts.append((levels + last, lanes, results))
        _, self.input_lanes, self.output_lanes = min(cuts)
        self.size, self.together = size, ceil(self.output_lanes / size)
        self.input_steps = ceil(inputs / self.input_lanes)
        self.output_steps = ceil(outputs / self.output_lanes)

    def signs(self, signs):
        """Rows of signs [rotations][inputs]."""
        lanes = self.input_lanes
        rows = [[0] * self.together * lanes for _ in range(self.input_steps * self.output_steps)]
        for q, line in enumerate(signs):
            for d, sign in enumerate(line):
                for o in range(self.output_steps):
                    n = q - o * self.output_lanes // self.size
                    if 0 <= n < self.together:
                        rows[o * self.input_steps + d // lanes][n * lanes + d % lanes] = sign < 0
        return rows

    def thresholds(self, signs, thresholds, limit):
        """Rows of thresholds, moved by what inverted elements miss."""
        rows = [[0] * self.output_lanes for _ in range(self.output_steps)]
        for r, threshold in enumerate(thresholds):
            line = signs[r // self.size]
            missed = sum((-1) ** (r % self.size & d).bit_count()
                         for d, sign in enumerate(line) if sign < 0)
            moved = min(max(threshold - missed, -limit), limit)
            rows[r // self.output_lanes][r % self.output_lanes] = moved
        return rows


def encode(form, weight):
    """Bits of a weight."""
    if form == "pow2":
        return (weight < 0) << 3 | (abs(weight).bit_length() if weight else 0)
    return weight


def parameter_rows(c, p):
    """Rows and bits per lane of every region, for the arrays ``p`` of one set."""
    regions = hash_rows(c, p)
    scalars = SCALARS.get(c["hash"], ("offset",))
    if c["queries"] in ("separate", "cross"):
        own = {name.removeprefix("query_"): array for name, array in p.items() if "query_" in name}
        regions |= {f"query_{name}": rows for name, rows in hash_rows(c, own).items()}
        scalars = (*["query_shift"][: c["hash"] == "rbf"], *scalars)
    regions["scalars"] = [[p[name] for name in scalars]], 32
    return regions


def hash_rows(c, p):
    """The regions of a hash."""
    form, k, regions = c["weights"], c["cycles_per_token"], {}
    bits = WEIGHT_BITS[form]
    if c["hash"] == "rbf":
        dot = Fold(c["head_dim"], c["anchors"], k)
        anchors = [[encode(form, e) for e in anchor] for anchor in p["anchors"]]
        regions["anchors"] = dot.rows(anchors), bits
        lanes = ceil(dot.output_lanes / dot.input_steps)
        block = ceil(dot.output_lanes / lanes)
        rows = [[0] * lanes for _ in range(dot.output_steps * block)]
        for j, bias in enumerate(p["bias"]):
            q, place = divmod(j, dot.output_lanes)
            rows[q * block + place // lanes][place % lanes] = bias
        regions["bias"] = rows, 16
    if c["hash"] == "hadamard":
        cut = Transform(c["head_dim"], c["code_bits"], k)
        limit = (c["head_dim"] << (c["token_width"] - 1)) + 1
        regions["projection"] = cut.signs(p["projection"]), 1
        regions["threshold"] = cut.thresholds(p["projection"], p["threshold"], limit), 32
    if c["hash"] in ("rbf", "linear"):
        inputs = c["anchors"] if c["hash"] == "rbf" else c["head_dim"]
        fold = Fold(inputs, c["code_bits"], k)
        projection = [[encode(form, e) for e in row] for row in p["projection"]]
        regions["projection"] = fold.rows(projection), bits
        rows = [[0] * fold.output_lanes for _ in range(fold.output_steps)]
        for r, threshold in enumerate(p["threshold"]):
            rows[r // fold.output_lanes][r % fold.output_lanes] = threshold
        regions["threshold"] = rows, 32
    return regions


def parameter_writes(c, p):
    """Register writes (address, data) that fill the shadow."""
    for name, (rows, bits) in parameter_rows(c, p).items():
        for number, row in enumerate(rows):
            word = sum((element & (1 << bits) - 1) << (lane * bits)
                       for lane, element in enumerate(row))
            yield PARAM_ADDRESS, REGIONS[name] << 28 | number << 12
            for start in range(0, len(row) * bits, 32):
                yield PARAM_DATA, word >> start & 0xFFFFFFFF


def load_set(port, c, index, p):
    """Load and commit one parameter set."""
    while not port.read(STATUS) & SHADOW_FREE:
        pass
    for address, data in parameter_writes(c, p):
        port.write(address, data)
    port.write(COMMIT, index)
