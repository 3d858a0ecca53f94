"""One lattice over several processes: which part each holds, what they exchange, streams of all.

`launch` reads the environment of torchrun, mpirun and srun, `world` is the process group, `groups`
spreads chains, `grid` cuts the lattice, `share` moves fields, `stream` begins and resumes, `hands`
are those that continue a host's stream.
"""
