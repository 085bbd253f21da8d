# SPDX-License-Identifier: Apache-2.0
"""Boards: an engine with a host link, clocks and pins around it, ready for place and route."""
