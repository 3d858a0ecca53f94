"""The hot functions on Triton kernels for fields on a GPU.

`functions` takes and returns torch fields, `launch` decides which kernels are trusted; `kernels`,
`matrix`, `walk` are Triton code, `paths` the tables they follow.
"""
