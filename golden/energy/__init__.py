# SPDX-License-Identifier: Apache-2.0
"""Operations and energy of softmax and EcoFormer attention, from a network's shape alone.

Numbers only: no torch, except to read a network that this project trained.
"""
