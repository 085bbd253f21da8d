"""Learning: hashes from attention, networks from data, with checkpoints; no integers."""
