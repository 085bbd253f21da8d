# SPDX-License-Identifier: Apache-2.0
"""Where a network attends: found by running it, and EcoFormer attention put in its place."""
