"""Resumable production: a stream that is the same however often it is interrupted.

`begin` begins and resumes: `options` what it can be told, `reading` and `start` the first fields
(by the files it is handed), `choice` the kernel and `specs` what is stored of it, `prepare` what
goes before the first trajectory, `folder` where it lies, `progress` who listens. `run` goes on,
step by step as in `trajectories`; `state` is the save point, `log` the rows, `summary` what they
amount to, `baseline` the HMC to compare with, `provenance` where it was computed.
"""
