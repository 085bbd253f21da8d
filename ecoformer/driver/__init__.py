# SPDX-License-Identifier: Apache-2.0
"""The driver of a generated engine, for hosts: numpy only, also without the rest of ecoformer."""
