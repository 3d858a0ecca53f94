"""The learned kernel: the formulas, and who computes them.

`kernel` has the formulas; `reference` (torch) and `compiled` compute them; `trace` records what
happens along a trajectory.
"""
