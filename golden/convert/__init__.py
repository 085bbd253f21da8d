# SPDX-License-Identifier: Apache-2.0
"""Pretrained transformers converted: EcoFormer attention in place of softmax, hashes learned."""
