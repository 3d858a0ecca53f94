"""Measurements.

`kernels` times functions and trajectories, `sampler` measures autocorrelations, `files` times
formats and host fields; `results` holds what was measured, `timing` what they share.
"""
