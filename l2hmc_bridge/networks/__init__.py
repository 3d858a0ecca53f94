"""The trainable parts of an L2HMC step.

`covariant` fits any volume of SU(3) links, as do `transformation`, the slides' s_U around whole
trajectories, and `smeared`, s_U in a drift; `dense` is the slides' network on one volume,
`elementwise` serves angles and vectors, `layered` (of `layers`, with `masks`) is l2hmc-qcd's own;
`parts` is what a part must offer to engines, bundle and gate.
"""
