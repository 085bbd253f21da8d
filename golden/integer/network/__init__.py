# SPDX-License-Identifier: Apache-2.0
"""A whole network in integers: pixels in, scores out; the only definition of its bits."""
