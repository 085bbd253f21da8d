# SPDX-License-Identifier: Apache-2.0
"""Which receiver a configuration gets."""

from ecoformer.hw.stream.contexts import ContextReceiver
from ecoformer.hw.stream.pairs import PairReceiver
from ecoformer.hw.stream.receiver import Receiver, SerialReceiver
from ecoformer.spec.config import Config

__all__ = ["RECEIVERS", "receiver_class"]

RECEIVERS = (ContextReceiver, PairReceiver, SerialReceiver, Receiver)
"""Special cases come before the general one."""


def receiver_class(config: Config) -> type[Receiver]:
    """The receiver of the engine: the first that fits."""
    return next(receiver for receiver in RECEIVERS if receiver.fits(config))
