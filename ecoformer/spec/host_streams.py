# SPDX-License-Identifier: Apache-2.0
"""The two streams between a host link and the design that it serves."""

from dataclasses import dataclass

__all__ = ["HostStreams"]


@dataclass(frozen=True)
class HostStreams:
    """What a host link must know of a design: the widths of its beats.

    Parameters
    ----------
    input_bytes, output_bytes : int
        Bytes of ``tdata`` of a beat, in and out.
    user_bits : int
        Bits of what a packet brings beside its beats, and its answer has: the number of a parameter
        set, or of a context; 0 where there is nothing.
    answer_fields : (str, str)
        Fields of ``m_axis_tuser``, the lowest first: ``user`` and ``error``.
    loads : bool
        Whether parameter packets come as well, a byte in each beat; the highest bit of user, one
        more than ``user_bits``, marks them.
    """

    input_bytes: int
    output_bytes: int
    user_bits: int
    answer_fields: tuple[str, str] = ("user", "error")
    loads: bool = False

    @property
    def all_user_bits(self) -> int:
        """Bits of user, with the one that marks parameter packets."""
        return self.user_bits + self.loads

    @property
    def load_user(self) -> int:
        """User of a parameter packet."""
        return 1 << self.user_bits
