# SPDX-License-Identifier: Apache-2.0
"""Whole networks: a component for every layer, and the pipeline of all of them."""
