# SPDX-License-Identifier: Apache-2.0
import numpy as np

from ecoformer.golden.quantize.scales import clipped_scale, full_scale, to_integers


def test_integers_are_rounded_and_limited():
    values = np.array([-9.0, -1.26, 0.24, 0.26, 9.0])
    assert to_integers(values, 0.5, 4).tolist() == [-8, -3, 0, 1, 7]


def test_the_full_scale_fits_the_largest_of_every_column():
    values = np.array([[1.0, -20.0, 0.0], [-2.0, 10.0, 0.0]])
    scale = full_scale(values, 8)
    np.testing.assert_allclose(scale[:2], [2 / 127, 20 / 127])
    assert scale[2] > 0


def test_an_outlier_is_clipped_where_others_gain_from_it():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (5_000, 2)) * [1, 100]
    values[0, 0] = 6.5
    values[:, 1] = rng.uniform(-100, 100, 5_000)  # nothing to gain here
    clipped, whole = clipped_scale(values, 4), full_scale(values, 4)
    assert clipped[0] < 0.8 * whole[0] and clipped[1] > 0.9 * whole[1]

    def error(scale):
        return np.square(to_integers(values, scale, 4) * scale - values).mean(axis=0)

    for share in np.linspace(0.3, 1, 29):  # there is no better one among those tried
        assert (error(clipped) <= error(share * whole) + 1e-12).all()


def test_the_error_is_that_of_the_function():
    values = np.linspace(-40, 4, 1_000)[:, None]
    alone = clipped_scale(values, 8)[0]
    behind = clipped_scale(values, 8, lambda x: np.maximum(x, 0))[0]
    assert behind < alone / 2  # what becomes 0 may be clipped
