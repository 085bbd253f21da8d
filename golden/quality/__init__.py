"""How good hashes are: what they keep of the attention they replace, measured and drawn."""
