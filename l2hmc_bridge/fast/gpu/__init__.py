"""The hot functions on Triton kernels for fields on a GPU.

`functions` takes and returns torch fields, `planar` keeps them with their numbers apart for whole
`trajectories`, which run as `graphs` if fields are small, `observables` measures them there, `sums`
adds up sites of torch fields, `launch` decides which kernels are trusted; `kernels`, `matrix` and
`planar_kernels`, `planar_matrix` are Triton code.
"""
