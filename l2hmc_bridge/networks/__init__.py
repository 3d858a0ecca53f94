"""The trainable parts of an L2HMC step.

`covariant` fits any volume of SU(3) links, `dense` is the slides' network on one, `elementwise`
serves angles and vectors, `layered` (of `layers`, with `masks`) is l2hmc-qcd's own; `parts` is what
a part must offer to engines, bundle and gate.
"""
