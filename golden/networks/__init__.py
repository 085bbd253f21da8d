"""Whole networks in float with a choice of attention; how they learn is not their business."""
