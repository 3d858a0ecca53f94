"""Trajectories with networks and mixing on a GPU, on fields with their numbers apart.

`networks` are weights as kernels take them, `moves` the kicks and drifts that wait, `seeing` what a
network sees of the links, `moving` links and momenta under way; `kicks`, `drifts`, `steps` and
`scalars` are Triton code.
"""
