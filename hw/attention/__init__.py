"""Attention cores and the normaliser: codes and values in, quotients out; no pins."""
