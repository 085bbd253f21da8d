"""Operations and energy of a network with softmax and with EcoFormer attention, from shapes alone.

Numbers only: no torch, except to read a network that this project trained.
"""
