"""The hot functions on compiled C++ kernels for fields in main memory.

`functions` takes and returns torch fields, `differentiated` (with `pullbacks`) does so for
training, `blocks` and `learned` work in the kernels' own layout, `host_memory` reads and writes a
host's arrays; `library` finds and loads the builds of `kernels/`, which run on torch's threads
(`openmp`), `scratch` keeps buffers.
"""
