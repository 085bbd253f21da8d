"""Pretrained transformers: where they attend, and EcoFormer attention learned in its place."""
