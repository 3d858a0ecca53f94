"""The learned kernel: the order of its kicks and drifts, and who computes them.

`kernel` has the order, `engine` the protocol, `engines` the table; `reference` computes the
formulas in torch, `compiled` (with `compiled_field`) on the compiled kernels; `trace` records what
happens along a trajectory.
"""
