"""Resumable production: a stream that is the same however often it is interrupted.

`run` goes on, `state` is the save point, `log` the rows, `summary` what they amount to,
`baseline` the HMC to compare with, `provenance` where it was computed.
"""
