# SPDX-License-Identifier: Apache-2.0
"""A whole decoder on the chip: a causal language model, a token in and scores of the next out."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from functools import cached_property
from math import isqrt
from pathlib import Path
from typing import ClassVar, Self

from ecoformer.spec.alphabet import check_alphabet
from ecoformer.spec.checks import check_choice, check_number
from ecoformer.spec.choices import Dataflow, Mask, Weights
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table
from ecoformer.spec.folding import Fold, Stream
from ecoformer.spec.host_streams import HostStreams
from ecoformer.spec.network.layers import LinearShape
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, SHARED_RANGES, Transformer

__all__ = ["ANSWERS", "DecoderDesign", "LOOKUP_CYCLES", "TokenError"]

ANSWERS = ("scores", "best")
"""What a token may be answered by."""
FOR_HOSTS = ("alphabet", "score_scale")
"""Fields of which nothing on the chip depends."""

class TokenError(enum.IntEnum):
    """Why a token is not answered by scores: data of the beat that answers it."""

    CONTEXT_LOST = 1
    """Its context was never begun, or met an error, or there is none of this number."""
    TOO_LONG = 2
    """Its context has ``positions`` tokens already."""
    NO_TOKEN = 3
    """Its number is none of the vocabulary."""
    NO_PARAMETERS = 4
    """The last load spoilt the parameters; only where they can be loaded."""


LOOKUP_CYCLES = 4
"""Cycles from a token to the next that finding a context takes at least."""
LEAST_ENGINE_CYCLES = 4
"""Smallest k of a causal engine."""
MAX_SCALE = 1e6
"""Largest scale of scores."""
MAX_BUS = 512
"""Most bytes of a beat of an engine."""


@dataclass(frozen=True, kw_only=True)
class DecoderDesign(Transformer):
    """A causal language model as a pipeline: a token of any context every ``cycles_per_token``.

        token ─► embedding + positions ─► blocks ─► norm ─► classifier ─► scores, or the best token

    Parameters
    ----------
    vocabulary : int
        Tokens that there are, numbered from 0.
    positions : int
        Most tokens of a context.
    width, heads, depth, hidden, weights, residual_width, loadable, rolled
        Same as for :class:`Transformer`; never ``rolled``.
    attention : Config
        Attention of one head, with a causal mask; its ``contexts`` are those of the network, and
        its ``cycles_per_token`` is taken where it is no larger than that of the network. Its buses,
        length and number of sets follow from the network.
    answer : str
        What a token is answered by: the ``scores`` of all tokens that may come next, or the
        ``best`` of these.
    cycles_per_token : int
        k of the whole network. The smaller it is, the more elements go from a layer to the next in
        a cycle.
    alphabet : str
        The characters that tokens stand for (`spec.alphabet`), for hosts; empty where it is not
        said.
    score_scale : float
        What 1 of a score stands for, for hosts that make probabilities of scores; 0 where it is
        not known. `export --network` finds it.

    Raises
    ------
    TypeError, ValueError
        A value has the wrong type or breaks the rule named in the message.
    """

    vocabulary: int
    positions: int
    width: int
    heads: int
    depth: int
    hidden: int
    attention: Config
    weights: Weights = Weights.INT8
    answer: str = ANSWERS[0]
    cycles_per_token: int = 64
    residual_width: int = 16
    loadable: bool = False
    rolled: bool = False
    alphabet: str = ""
    score_scale: float = 0.0

    ranges: ClassVar[dict[str, tuple[int, int]]] = {
        "vocabulary": (2, 65_536), "positions": (1, 65_536), **SHARED_RANGES,
    }
    table: ClassVar[str] = "decoder"
    mask: ClassVar[Mask] = Mask.CAUSAL
    packet: ClassVar[str] = "token"
    first_and_last: ClassVar[str] = "a token to the last beat of its answer"
    rate_fields: ClassVar[tuple[str, ...]] = (*Transformer.rate_fields, "answer", *FOR_HOSTS)
    optional_fields: ClassVar[tuple[str, ...]] = (*Transformer.optional_fields, *FOR_HOSTS)
    _sizes: ClassVar[str] = "vocabulary, positions, width, hidden and depth"

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.rolled:
            raise ValueError(
                "rolled must be false in a decoder: blocks share hardware image by image, and no "
                "tokens of a context come together as those of an image do"
            )
        check_choice("answer", self.answer, ANSWERS)
        check_alphabet(self.alphabet, self.vocabulary)
        check_number("score_scale", self.score_scale, float, 0, MAX_SCALE)
        self._check_attention()
        if self.attention.dataflow != Dataflow.ACCUMULATE:
            raise ValueError(
                f"[engine] dataflow must be {Dataflow.ACCUMULATE.value!r} within a decoder, whose "
                f"tokens all take equally long, not {self.attention.dataflow!r}"
            )
        if self.longest_vector > self.cycles_per_token * self.head_dim:
            least = -(-self.longest_vector // self.head_dim)
            raise ValueError(
                f"cycles_per_token must be at least {least} for this network, whose longest vector "
                f"has {self.longest_vector} elements, of which at most head_dim = {self.head_dim} "
                f"move in a cycle, not {self.cycles_per_token}"
            )
        self._check_size("positions")

    # -- shape -----------------------------------------------------------------------------------

    @property
    def tokens(self) -> int:
        """Tokens of the longest context."""
        return self.positions

    @property
    def constants(self) -> dict[str, int]:
        """Tables of constants that are added to tokens, and the rows of each."""
        return {"embedding": self.vocabulary, **super().constants}

    @property
    def constant_stride(self) -> int:
        """A power of two, so that no adder finds a row."""
        return 1 << (super().constant_stride - 1).bit_length()

    @property
    def errors(self) -> list[TokenError]:
        """Errors that there can be."""
        return [e for e in TokenError if self.loadable or e != TokenError.NO_PARAMETERS]

    @property
    def contexts(self) -> int:
        """Contexts whose states are resident."""
        return self.attention.contexts

    @property
    def longest_vector(self) -> int:
        """Elements of the longest vector that goes from a layer to the next, scores included."""
        return max(super().longest_vector, self.vocabulary)

    @cached_property
    def lanes(self) -> int:
        """Elements of a vector that go from a layer to the next in a cycle.

        The fewest with which the longest vector does in k cycles, and that divide a head's vector.
        """
        least = -(-self.longest_vector // self.cycles_per_token)
        return next(n for n in range(least, self.head_dim + 1) if self.head_dim % n == 0)

    def fold(self, name: str) -> Fold:
        """How a linear layer is spread over its cycles.

        A layer with fewer than half of the weights of the largest takes less than k: an answer
        waits for all layers in turn, and least, for as many lanes in all, if lanes are in
        proportion to the root of the number of weights. A layer works on elements as they come
        where this takes no more lanes.
        """
        shape, k = self.linears[name], self.cycles_per_token
        largest = max(layer.inputs * layer.outputs for layer in self.linears.values())
        weights = shape.inputs * shape.outputs
        share = isqrt(k * k * weights // largest) if 2 * weights < largest else k
        fold = shape.fold(max(share, self.beats(max(shape.inputs, shape.outputs))), self.lanes)
        stream = Stream(shape.inputs, shape.outputs, k, self.lanes)
        if shape.outputs <= shape.inputs and stream.lanes <= fold.lanes:
            return stream
        return fold

    @property
    def steady_cycles(self) -> int:
        """Cycles from a token to the next where many follow each other: at most k."""
        steps = [self.fold(name).steps for name in self.linears]
        return max(
            LOOKUP_CYCLES, self.engine.cycles_per_token, self.beats(self.longest_vector), *steps
        )

    @property
    def steady_packet(self) -> int:
        """Cycles from a packet to the next where many follow each other: those of a token."""
        return self.steady_cycles

    @property
    def input_beats(self) -> int:
        """Beats of a packet that enters: a token."""
        return 1

    @property
    def token_bytes(self) -> int:
        """Bytes of a token's number on the wire."""
        return -(-(self.vocabulary - 1).bit_length() // 8)

    @property
    def context_width(self) -> int:
        """Bits of a context's number; 0 where there is one."""
        return (self.contexts - 1).bit_length()

    @property
    def answer_scores(self) -> int:
        """Scores of a beat of an answer; 0 where the answer is the best token."""
        return self.lanes if self.answer == "scores" else 0

    @property
    def answer_bytes(self) -> int:
        """Bytes of a beat of an answer."""
        return self.answer_scores * self.score_bytes or self.token_bytes

    @property
    def answer_beats(self) -> int:
        """Beats of an answer."""
        return self.beats(self.vocabulary) if self.answer_scores else 1

    @property
    def host_streams(self) -> HostStreams:
        """Tokens in and answers out, as a host link knows them.

        A packet is a run of tokens of one context. Bit 0 of its user says that the context is empty
        before it, the bits above are the number of the context.
        """
        return HostStreams(
            self.token_bytes, self.answer_bytes, user_bits=1 + self.context_width,
            loads=self.loadable,
        )

    # -- layers ----------------------------------------------------------------------------------

    @cached_property
    def engine(self) -> Config:
        """The attention of one head within the network: a token, and its answer, in a beat each."""
        k = max(LEAST_ENGINE_CYCLES, min(self._engine_cycles, self.attention.cycles_per_token))
        # An answer is padded to whole blocks, which are less than twice as long.
        token = max(
            self.vectors * self.head_dim,
            2 * self.head_dim * self.attention.output_element_bytes,
        )
        return self._engine(k, min(MAX_BUS, 1 << (token - 1).bit_length()))

    @cached_property
    def linears(self) -> dict[str, LinearShape]:
        """Every linear layer by name, along the path of a token."""
        classifier = self._classifier(self.vocabulary, ACTIVATION_WIDTH)
        return {**self._block_linears(), "classifier": classifier}

    @cached_property
    def vector_elements(self) -> dict[str, int]:
        """Elements of what every layer sends for a token, by the names of `sent_widths`."""
        of_linears = {name: shape.outputs for name, shape in self.linears.items()}
        of_linears["scores"] = self.vocabulary
        hidden = {f"blocks.{block}.activation": self.hidden for block in range(self.depth)}
        return {name: (of_linears | hidden).get(name, self.width) for name in self.sent_widths}

    @cached_property
    def sent_widths(self) -> dict[str, int]:
        """Signed bits of what every layer sends, by the names of the integer network's trace."""
        return {
            "embedding": self.residual_width, **self._block_widths(), "norm": ACTIVATION_WIDTH,
            "scores": self.linears["classifier"].result_width,
        }

    @property
    def hardware_fingerprint(self) -> str:
        """SHA-256 of every field but those for hosts, which training changes."""
        return replace(self, alphabet="", score_scale=0.0).fingerprint

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the tables ``[decoder]`` and ``[engine]`` of the TOML file ``path``.

        Raises
        ------
        EcoformerError
            The file cannot be read or a key or value is refused; names file and key.
        """
        return read_table(path, cls.table, cls, attention=Config.load(path))
