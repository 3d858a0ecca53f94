"""Where core and formats meet: what `import l2hmc_bridge` offers beyond single rooms.

`streams` begins and resumes streams, `host_streams` (with `host_options`) continues those of other
codes, `measure` and `analyse` go from configurations to numbers with errors. It is the last room
of the adapters: the core imports none of them, so what joins both stands here, and the command line
only parses and shows.
"""
