"""Resumable production: a stream that is the same however often it is interrupted.

`begin` begins and `resume` resumes: `options` what a stream can be told, `reading` and `start` the
first fields (by the files it is handed), `choice` the kernel, `prepare` what goes before the first
trajectory, `progress` who listens, `outcome` what came of it. `run` goes on, step by step as in
`trajectories`, and writes `configurations`; `summary` says what the rows amount to, `provenance`
where they were computed, `baseline` is the HMC to compare with. What lies on disk: `recorded`.
"""
