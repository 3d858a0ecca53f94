"""The hot functions on Triton kernels for fields on a GPU.

`functions` takes and returns torch fields, `planar` keeps them with their numbers apart for whole
trajectories, `sums` adds up sites, `launch` decides which kernels are trusted; `kernels`, `matrix`,
`walk` and `planar_kernels`, `planar_matrix` are Triton code, `paths` the tables that the former
follow.
"""
