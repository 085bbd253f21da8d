"""Pretrained transformers converted: EcoFormer attention in place of softmax, hashes learned."""
