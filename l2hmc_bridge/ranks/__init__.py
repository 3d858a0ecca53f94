"""One lattice over several processes: which part each holds, what they exchange, streams of all.

`launch` reads the environment of torchrun, mpirun and srun, `world` is all processes, which reach
each other by `transport` (torch.distributed) or `mpi` (a host's communicator), `grid` cuts the
lattice, `share` moves fields, `stream` begins and resumes.
"""
