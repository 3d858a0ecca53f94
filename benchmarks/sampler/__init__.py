"""Autocorrelations and cost of samplers: `run` on SU(3), `u1`, `models`, `mixture`."""
