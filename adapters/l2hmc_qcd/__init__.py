"""Checkpoints of l2hmc-qcd.

`checkpoint` reads one safely, `masks` finds its masks, `kernel` makes our kernel of it.
"""
