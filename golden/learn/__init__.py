"""Learning hashes from attention and networks from data, with checkpoints; no integers."""
