# SPDX-License-Identifier: Apache-2.0
"""Float networks: our own and the published ones; no learning."""
