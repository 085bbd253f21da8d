"""Hash units, one component per family: a token in, its code out; no attention."""
