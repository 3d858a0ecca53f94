"""Gradients along the group on a GPU: of loops (`paths`, `clovers`) and of exp(P) U (`exponential`)
in Triton, what starts them (`differentiated`), and whether they are to be trusted (`trials`).
"""
