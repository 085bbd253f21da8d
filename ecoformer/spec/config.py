"""The configuration: one frozen, validated dataclass, read from the ``[engine]`` table of a TOML.

Every other room asks this class for shapes; nobody parses TOML a second time.
"""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, fields

from ecoformer.errors import EcoformerError
from ecoformer.presets import PRESETS, find_config
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.folding import Fold
from ecoformer.spec.weights import WEIGHT_FORMATS

__all__ = ["Config", "read_table", "TABLES"]

TABLES = ("engine", "network", "training", "attention", "convert")
"""Tables a configuration file may hold: hardware; a float network and how it is trained; the
attention of a converted network and how it is converted."""

RANGES = {
    "head_dim": (1, 128),
    "value_dim": (1, 128),
    "code_bits": (1, 128),
    "anchors": (1, 128),
    "token_width": (4, 8),
    "value_width": (4, 8),
    "output_width": (4, 24),
    "output_fraction": (0, 12),
    "offset_fraction": (0, 8),
    "max_tokens": (1, 65_536),
    "cycles_per_token": (1, 1_024),
    "engines": (1, 16),
    "state_banks": (2, 8),
    "parameter_sets": (1, 256),
    "bus_bytes": (1, 512),
    "tuser_width": (0, 16),
    "target_tokens_per_second": (0, 1_000_000_000),
    "clock_mhz": (1, 1_000),
}
CHOICES = {
    "hash": (("rbf", "linear", "codes", "none"), ()),
    "weights": (tuple(WEIGHT_FORMATS), ()),
    "value_term": (("sum", "own"), ()),
    "mask": (("full",), ("causal",)),
    "dataflow": (("accumulate", "xnor", "bucketed", "softmax"), ()),
}
"""Values of every enumeration: those that work, and those that are refused in this version."""

DEFAULT_CYCLES_PER_TOKEN = 16
GROUP_BITS = 4
"""Code bits that address one table of the ``bucketed`` dataflow, if a code has as many."""
MAX_LANES = 2_048
SERIAL_ELEMENTS = 8
"""Elements from which on a vector takes less in a memory than in registers."""
BUFFER_BITS = 3_833_856
"""Block RAM of the default target, an ECP5 LFE5U-85F: 208 blocks of 18 kbit."""

BIT_DEFINING = (
    "head_dim", "value_dim", "code_bits", "hash", "weights", "anchors", "token_width",
    "value_width", "output_width", "output_fraction", "offset_fraction", "value_term", "mask",
)  # fmt: skip
"""Fields on which the result bits depend; rate, banks and bus do not change a single bit."""

ADDED = {"engines": 1}
"""Fields that came later, and the value with which an engine is the one it was without them."""

GOALS = ("target_tokens_per_second", "clock_mhz")
"""Fields that only choose or check others: engines that differ in them alone are the same."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape of one attention engine.

    Parameters
    ----------
    head_dim, value_dim : int
        Elements per token (D, shared query and key) and per value (E), 1…128.
    code_bits : int
        Length b of the binary code, 1…128.
    hash : str
        Hash family. ``rbf``: the kernelized hash of the paper. ``linear``: sign(W·x - t), without
        a multiplier where the weights need none. ``codes``: the host sends the codes. ``none``: the
        tokens themselves, for softmax attention; nothing depends on ``code_bits`` then.
    weights : str
        What anchors and projections may hold (`spec.weights`); always loadable at run time.
    anchors : int
        Support samples m of the kernel, 1…128; only ``rbf`` has them.
    token_width, value_width : int
        Signed bits of one element of x and of v, 4…8.
    output_width, output_fraction : int
        Signed bits of one output element, 4…24, and how many of them are fraction, 0…12.
    offset_fraction : int
        Fraction bits g of the attention offset c, 0…8.
    value_term : str
        What the offset multiplies in the numerator: the ``sum`` of all values (paper), or the
        token's ``own`` value (released code).
    mask : str
        ``full``: every token attends to every token of its sequence.
    dataflow : str
        ``accumulate`` (linear in N), ``bucketed`` (the same with tables that groups of code bits
        address) or ``xnor`` (quadratic: one pair of tokens per cycle).
        ``softmax``, with ``hash = "none"`` and no other: what all of this is compared with.
    max_tokens : int
        Longest sequence, 1…65,536 and within the block RAM of an LFE5U-85F.
    cycles_per_token : int
        Folding k, a power of two 1…1,024: one token enters every k cycles. Left out, it follows
        from the target, or is 16 without one.
    engines : int
        Packets worked on at once, 1…16, each at one token every k cycles; they share the ports, so
        a token's beats must fit that often in k cycles.
    state_banks : int
        Sequences that may be accumulated or queried at the same time, 2…8.
    parameter_sets : int
        Resident parameter sets (heads × layers), 1…256.
    bus_bytes : int
        Bytes per beat of both AXI4-Stream ports; a token's beats must fit in k cycles, for every
        one of ``engines``.
    tuser_width : int
        Bits of ``s_axis_tuser``, which selects the parameter set, enough for every set and at most
        16; with 0 there is no such pin and register NEXT_SET selects it.
    target_tokens_per_second : int
        Tokens·heads per second that the engine must take at least; k is the largest that does.
        0 sets no target.
    clock_mhz : int
        Clock frequency for which the target is meant.

    Raises
    ------
    TypeError, ValueError
        When a value has the wrong type or breaks the rule named in the message.
    """

    head_dim: int = 32
    value_dim: int = 32
    code_bits: int = 16
    hash: str = "rbf"
    weights: str = "int8"
    anchors: int = 25
    token_width: int = 8
    value_width: int = 8
    output_width: int = 16
    output_fraction: int = 8
    offset_fraction: int = 0
    value_term: str = "sum"
    mask: str = "full"
    dataflow: str = "accumulate"
    max_tokens: int = 1_024
    cycles_per_token: int = None
    engines: int = 1
    state_banks: int = 2
    parameter_sets: int = 8
    bus_bytes: int = 8
    tuser_width: int = 8
    target_tokens_per_second: int = 0
    clock_mhz: int = 100

    def __post_init__(self):
        for name in (*GOALS, "engines"):
            self._check_field(name, int, getattr(self, name))
        wanted = self._wanted_cycles
        if self.cycles_per_token is None:
            object.__setattr__(self, "cycles_per_token", wanted or DEFAULT_CYCLES_PER_TOKEN)
        for f in fields(self):
            self._check_field(f.name, f.type, getattr(self, f.name))
        k = self.cycles_per_token
        if k & (k - 1):
            raise ValueError(f"cycles_per_token must be a power of two, not {k}")
        if wanted not in (None, k):
            raise ValueError(
                f"cycles_per_token must be {wanted} with target_tokens_per_second = "
                f"{self.target_tokens_per_second} and clock_mhz = {self.clock_mhz}, not {k}; "
                "leave one of them out"
            )
        for what, beats in (("input", self.input_beats), ("output", self.output_beats)):
            if beats > k:
                raise ValueError(
                    f"bus_bytes must carry a token's {what} in cycles_per_token = {k} beats, "
                    f"not in {beats} beats of {self.bus_bytes} bytes"
                )
            if self.engines * beats > k:
                raise ValueError(
                    f"engines must be at most {k // beats}, because each asks for a token's "
                    f"{what}, {beats} beats of {self.bus_bytes} bytes, every cycles_per_token = "
                    f"{k} cycles, not {self.engines}"
                )
        if self.tuser_width and self.parameter_sets > 1 << self.tuser_width:
            raise ValueError(
                f"tuser_width must be 0 or name each of {self.parameter_sets} parameter sets, "
                f"which takes {(self.parameter_sets - 1).bit_length()} bits, not {self.tuser_width}"
            )
        if (self.hash == "none") != (self.dataflow == "softmax"):
            raise ValueError(
                f"dataflow must be 'softmax' with hash = 'none' and with no other, not "
                f"{self.dataflow!r} with {self.hash!r}"
            )
        self._check_area()

    @property
    def _wanted_cycles(self):
        """The largest folding with which all engines reach the target, None without one."""
        target, clock = self.target_tokens_per_second, 1_000_000 * self.clock_mhz
        if not target:
            return None
        if target > clock:
            raise ValueError(
                f"target_tokens_per_second must be at most one per cycle of clock_mhz = "
                f"{self.clock_mhz}, not {target}"
            )
        slowest = self.engines * clock // target
        return min(1 << (slowest.bit_length() - 1), RANGES["cycles_per_token"][1])

    @staticmethod
    def _check_field(name, kind, value):
        if type(value) is not kind:
            rule = "an integer" if kind is int else "a string"
            raise TypeError(f"{name} must be {rule}, not {value!r}")
        if name in RANGES:
            low, high = RANGES[name]
            if not low <= value <= high:
                raise ValueError(f"{name} must be {low}…{high}, not {value}")
        if name in CHOICES:
            known, refused = CHOICES[name]
            allowed = " or ".join(map(repr, known))
            if value in refused:
                raise ValueError(
                    f"{name} must be {allowed}, not {value!r}, which this version does not build"
                )
            if value not in known:
                raise ValueError(f"{name} must be {allowed}, not {value!r}")

    def _check_area(self):
        for what, fold in {"accumulate lanes": self.state_fold, **self.hash_folds}.items():
            lanes = self.engines * fold.lanes
            if lanes > MAX_LANES:
                raise ValueError(
                    f"cycles_per_token must leave at most {MAX_LANES} {what} per cycle, "
                    f"not {lanes} at {self.cycles_per_token}; double it"
                )
        if self.buffer_bits > BUFFER_BITS:
            raise ValueError(
                f"max_tokens must keep the token buffers within {BUFFER_BITS} bits, "
                f"not {self.buffer_bits} at {self.max_tokens} tokens"
            )

    @property
    def is_hashed(self):
        """Whether the engine hashes: whether it has a projection."""
        return self.hash in ("rbf", "linear")

    # -- folding: how much of each unit exists, and for how many cycles it works on a token ----

    @property
    def dot_fold(self):
        """D × m dot products of the token with the anchors; ``rbf`` only."""
        return Fold(self.head_dim, self.anchors, self.cycles_per_token)

    @property
    def projection_fold(self):
        """Projection onto b bits: of the m kernel values, or (``linear``) of the D elements."""
        inputs = self.anchors if self.hash == "rbf" else self.head_dim
        return Fold(inputs, self.code_bits, self.cycles_per_token)

    @property
    def hash_folds(self):
        """Folds of the hash family's own units, by what their lanes compute."""
        folds = {}
        if self.hash == "rbf":
            folds["dot products"] = self.dot_fold
        if self.is_hashed:
            folds["projection products"] = self.projection_fold
        return folds

    @property
    def state_fold(self):
        """State accumulated and queried: a row for each of b code bits, or for each group of them
        (``bucketed``); softmax attention has sums alone."""
        rows = {"softmax": 1, "bucketed": -(-self.code_bits // self.group_bits)}
        return Fold(
            rows.get(self.dataflow, self.code_bits), self.value_dim, self.cycles_per_token
        )

    # -- the tables of the bucketed dataflow -----------------------------------------------------

    @property
    def group_bits(self):
        """Code bits of a group; the last group may have fewer."""
        return min(GROUP_BITS, self.code_bits)

    @property
    def table_latency(self):
        """Cycles in which a table of sums answers; two where its row comes back late enough."""
        return 1 if self.state_fold.steps < 3 else 2

    @property
    def transform_cycles(self):
        """Cycles from a sequence's last step until it can be queried, and between two of them."""
        if self.dataflow != "bucketed":
            return 0
        fold, size = self.state_fold, 1 << self.group_bits
        tree = max(1, (self.group_bits - 1).bit_length())
        return size * fold.steps * fold.input_lanes + size // 2 + tree + 3 + self.table_latency

    @property
    def ring_tokens(self):
        """Places for codes that wait for their query: a sequence, and what is transformed."""
        if not self.transform_cycles:
            return self.max_tokens
        meanwhile = -(-self.transform_cycles // self.cycles_per_token) + 2
        return self.max_tokens + min(self.max_tokens, meanwhile)

    @property
    def code_fold(self):
        """b sums z of code signs, accumulated and queried beside the state."""
        return Fold(self.code_bits, 1, self.cycles_per_token)

    @property
    def is_full_rate(self):
        """Whether a token is taken every cycle, so that no unit works on one for several."""
        return self.cycles_per_token == 1

    @property
    def is_serial(self):
        """Whether every unit has one lane and a beat is an element, so that none needs a vector.

        Tokens stay in memory then, and are read element by element. A vector of a few elements is
        better kept in registers.
        """
        folds = (*self.hash_folds.values(), self.state_fold)
        return (
            self.is_hashed
            and self.dataflow == "accumulate"
            and self.value_term == "sum"
            and self.bus_bytes == self.engines == 1
            and min(self.head_dim, self.value_dim) >= SERIAL_ELEMENTS
            and all(fold.lanes == 1 for fold in folds)
        )

    # -- the wire --------------------------------------------------------------------------------

    @property
    def key_width(self):
        """Bits of a hashed token: its code, or all of its elements where there is no hash."""
        return self.head_dim * self.token_width if self.hash == "none" else self.code_bits

    @property
    def key_elements(self):
        """Elements of what is hashed: D of x, or b of a code that the host sends."""
        return self.code_bits if self.hash == "codes" else self.head_dim

    @property
    def key_bytes(self):
        """Bytes of x on ``s_axis``, one per element; or of the code, eight bits each."""
        return -(-self.code_bits // 8) if self.hash == "codes" else self.head_dim

    @property
    def token_bytes(self):
        """Bytes of one token on ``s_axis``: x or code, then v, every element a whole byte."""
        return self.key_bytes + self.value_dim

    @property
    def output_element_bytes(self):
        """Bytes of one output element on ``m_axis``."""
        return -(-self.output_width // 8)

    @property
    def input_beats(self):
        """Beats of one token on ``s_axis``."""
        return -(-self.token_bytes // self.bus_bytes)

    @property
    def output_beats(self):
        """Beats of one token on ``m_axis``."""
        return -(-self.value_dim * self.output_element_bytes // self.bus_bytes)

    @property
    def steady_cycles(self):
        """Cycles per token of all engines together, as long as each has a packet."""
        return self.cycles_per_token / self.engines if self.engines > 1 else self.cycles_per_token

    @property
    def waiting_tokens(self):
        """Tokens, and results, for which each of several engines has a buffer: a whole packet.

        It comes and goes faster than it is worked on. What part of a packet must wait depends on
        the number of engines if all are of one length, and is all of it at worst.
        """
        return self.max_tokens if self.engines > 1 else 0

    @property
    def buffer_bits(self):
        """Bits of the buffers whose depth depends on ``max_tokens``, of all engines; no tags."""
        values = self.value_dim * self.value_width
        depth = 1 << (self.max_tokens - 1).bit_length()
        keys = self.key_elements * (1 if self.hash == "codes" else self.token_width)
        waiting = keys + values + self.value_dim * self.output_width
        bits = self.waiting_tokens * waiting
        if self.dataflow == "xnor":
            bits += self.state_banks * depth * (self.code_bits + values)
        elif self.dataflow == "softmax":
            bits += self.state_banks * self.max_tokens * (self.key_width + values)
            bits += 2 * depth * Arithmetic(self).score_width
        else:
            bits += self.ring_tokens * (self.code_bits + values * (self.value_term == "own"))
            if self.dataflow == "bucketed":
                bits += self.table_bits
        return self.engines * bits

    @property
    def table_bits(self):
        """Bits of all tables: two of sums by code, and one of half as many for every bank."""
        bits, fold = Arithmetic(self), self.state_fold
        entries = fold.lanes * fold.steps << self.group_bits
        halves = self.state_banks * bits.table_sum_width
        return entries * (2 * bits.plain_sum_width + halves // 2)

    # -- identity --------------------------------------------------------------------------------

    @property
    def fingerprint(self):
        """SHA-256 of every field but the :data:`GOALS`: which engine this is."""
        named = asdict(self).items()
        return _digest({n: v for n, v in named if n not in GOALS and ADDED.get(n) != v})

    @property
    def bits_fingerprint(self):
        """SHA-256 of the fields that define result bits: which parameter images fit."""
        return _digest({name: getattr(self, name) for name in BIT_DEFINING})

    @classmethod
    def load(cls, path):
        """Read the ``[engine]`` table of the TOML file ``path``.

        Raises
        ------
        EcoformerError
            When the file cannot be read or a key or value is refused; names file and key.
        """
        return read_table(path, "engine", cls)

    def as_toml(self):
        """Text of a configuration file that loads to an equal ``Config``."""
        lines = [f"{name} = {json.dumps(value)}" for name, value in asdict(self).items()]
        return "\n".join(["[engine]", *lines, ""])


def read_table(path, table, cls, **given):
    """Build the dataclass ``cls`` from one table of a TOML file; an absent table means defaults.

    ``path`` may name a preset instead (`ecoformer.presets`). ``given`` are values of ``cls`` that
    another table holds: this one must not repeat them.

    Raises
    ------
    EcoformerError
        Unreadable file, unknown table or key, wrong type or impossible value.
    """
    path = find_config(path)
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        raise EcoformerError(
            f"{path}: cannot read the configuration ({error.strerror}); give a TOML file or a "
            f"preset ({', '.join(PRESETS)}) with -c"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EcoformerError(f"{path}: not a TOML file ({error}); correct it") from error
    _refuse_unknown(path, "table", raw, TABLES)
    values = raw.get(table, {})
    if not isinstance(values, dict):
        raise EcoformerError(f"{path}: {table} must be a table [{table}], not {values!r}")
    _refuse_unknown(path, f"key in [{table}]", values, [f.name for f in fields(cls)])
    for name in given.keys() & values.keys():
        raise EcoformerError(
            f"{path}: [{table}] {name} is given in another table; give it once, there"
        )
    values = given | {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise EcoformerError(f"{path}: [{table}] {error}") from error


def _refuse_unknown(path, what, given, known):
    if unknown := sorted(set(given) - set(known)):
        raise EcoformerError(
            f"{path}: unknown {what}: {', '.join(unknown)}; known: {', '.join(known)}"
        )


def _digest(values):
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
