"""What is true: the float model that learns (torch) and the integer model that defines the bits.

This file imports nothing: ``golden.integer`` has to work without torch.
"""
