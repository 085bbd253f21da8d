# SPDX-License-Identifier: Apache-2.0
"""``hash = "linear"``: h = sign(W·x - t), without a multiplier where the weights need none."""

from ecoformer.spec.families.projected import ProjectedHash

__all__ = ["LinearHash"]


class LinearHash(ProjectedHash):
    """Projection of the token itself."""

    @property
    def projection_inputs(self) -> int:
        return self.config.head_dim

    @property
    def max_input_sum(self) -> int:
        return self.config.head_dim << (self.config.token_width - 1)
