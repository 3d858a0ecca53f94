"""Exact Markov steps: State, Info, Kernel, accept and reject.

`markov` is the protocol and the Metropolis step, `draws` how randomness comes in, `hmc` and
`integrators` the baseline, `host_action` an action that another code computes, `mixture` several
kernels in turn, `tuning` step sizes, `watch` what to look at while a stream runs.
"""
