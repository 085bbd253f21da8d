# SPDX-License-Identifier: Apache-2.0
"""How much hashes keep of the attention they replace, measured and drawn."""
