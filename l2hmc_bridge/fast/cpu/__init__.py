"""The hot functions on compiled C++ kernels for fields in main memory.

`functions` takes and returns torch fields, `gradients` (with `recorded`, `pullbacks`) does so for
training, `blocks` and `learned` work in the kernels' own layout, `host_memory` reads and writes a
host's arrays; `library` finds and loads the builds of `kernels/`, `scratch` keeps buffers.
"""
