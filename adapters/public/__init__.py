"""Where core and formats meet: what `import l2hmc_bridge` offers beyond single rooms.

`streams` begins and resumes streams, `host_streams` continues those of other codes, `measure`
and `analyse` go from configurations to numbers with errors. It is the last room of the adapters:
the core may not import them, and the command line only dresses what stands here.
"""
