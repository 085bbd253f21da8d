"""Bytes on the AXI4-Stream ports: how tokens become beats and beats become results."""

import numpy as np

__all__ = ["pack_sequence", "unpack_sequence", "pack_outputs"]


def pack_sequence(config, tokens, values):
    """Beats of one input packet.

    A token starts on a beat; its elements follow as x then v, each sign-extended to a byte, low
    element first, zero-padded to whole beats. With ``hash = "codes"`` the code takes the place of
    x: a bit per element, 1 for +1, least significant first, zero-padded to whole bytes.

    Parameters
    ----------
    tokens : int array [N, D]
        Or ±1 [N, b] with ``hash = "codes"``.
    values : int array [N, E]

    Returns
    -------
    uint8 array [N · input_beats, bus_bytes]
    """
    if config.hash == "codes":
        keys = np.packbits(np.asarray(tokens) > 0, axis=1, bitorder="little")
    else:
        keys = np.asarray(tokens).astype(np.int8).view(np.uint8)
    fields = np.concatenate([keys, np.asarray(values).astype(np.int8).view(np.uint8)], axis=1)
    return _to_beats(config, fields, config.input_beats)


def pack_outputs(config, outputs):
    """Beats of one output packet of ``outputs`` (int array [N, E]); uint8 [beats, bus_bytes]."""
    width = config.output_element_bytes
    words = np.ascontiguousarray(outputs, dtype="<i8").view(np.uint8)
    words = words.reshape(len(outputs), config.value_dim, 8)[:, :, :width]
    words = words.reshape(len(outputs), config.value_dim * width)
    return _to_beats(config, words, config.output_beats)


def unpack_sequence(config, beats):
    """Results of one output packet.

    Parameters
    ----------
    beats : uint8 array [N · output_beats, bus_bytes]

    Returns
    -------
    int64 array [N, E]
    """
    width = config.output_element_bytes
    count = len(beats) // config.output_beats
    used = np.reshape(beats, (count, config.output_beats * config.bus_bytes))
    used = used[:, : config.value_dim * width]
    used = used.reshape(count, config.value_dim, width).astype(np.int64)
    unsigned = (used << (8 * np.arange(width, dtype=np.int64))).sum(axis=2)
    return unsigned - ((unsigned >> (8 * width - 1)) << (8 * width))


def _to_beats(config, token_bytes, beats):
    padded = np.zeros((len(token_bytes), beats * config.bus_bytes), dtype=np.uint8)
    padded[:, : token_bytes.shape[1]] = token_bytes
    return padded.reshape(-1, config.bus_bytes)
