"""How much hashes keep of the attention they replace, measured and drawn."""
