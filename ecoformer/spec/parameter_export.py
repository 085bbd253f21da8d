# SPDX-License-Identifier: Apache-2.0
"""A parameter image for drivers in C: what ``load_set`` takes, as bytes and as a header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ecoformer.spec.memory_map import MemoryMap

if TYPE_CHECKING:
    from ecoformer.spec.config import Config
    from ecoformer.spec.parameters import ParameterImage

__all__ = ["load_words", "as_binary", "as_c"]


def load_words(config: Config, image: ParameterImage) -> np.ndarray:
    """Words of every set as uint32 [sets, words, 2]: PARAM_ADDRESS, PARAM_DATA."""
    memory_map = MemoryMap(config)
    return np.array(
        [list(memory_map.load_words(image, index)) for index in range(image.sets)], np.uint32
    )


def as_binary(config: Config, image: ParameterImage) -> bytes:
    """Set after set of ``struct <name>_word``, little-endian: address, data, address, …"""
    return load_words(config, image).astype("<u4").tobytes()


def as_c(config: Config, image: ParameterImage, name: str) -> str:
    """C99 and C++ header ``<name>_parameters.h``: the image as a constant array.

    Parameters
    ----------
    name : str
        Top module; prefix of every identifier, as in ``<name>.h``.
    """
    words, prefix = load_words(config, image), name.upper()
    sets = (
        f"    {{ /* set {index} */\n"
        + "".join(f"        {{0x{address:08x}u, 0x{word:08x}u}},\n" for address, word in one)
        + "    },\n"
        for index, one in enumerate(words.tolist())
    )
    return HEADER.format(
        name=name, prefix=prefix, fingerprint=config.fingerprint, sets=len(words),
        words=words.shape[1], array="".join(sets),
    )


HEADER = """\
/*
 * Parameters of {name}, an EcoFormer attention engine. C99 and C++.
 * Configuration {fingerprint}.
 *
 * Set i: {name}_load_set(base, i, {name}_parameters[i], {prefix}_PARAMETER_WORDS, polls).
 */
#ifndef {prefix}_PARAMETERS_H
#define {prefix}_PARAMETERS_H

#include "{name}.h"

#define {prefix}_PARAMETER_IMAGE_SETS {sets}u
#define {prefix}_PARAMETER_WORDS {words}u /* of a set */

static const struct {name}_word
    {name}_parameters[{prefix}_PARAMETER_IMAGE_SETS][{prefix}_PARAMETER_WORDS] = {{
{array}}};

#endif
"""
