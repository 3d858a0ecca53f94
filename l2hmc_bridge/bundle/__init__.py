"""A sampler as one safe file.

`file` saves and loads, `architecture` describes a kernel and builds it again, `fingerprint` is
what it does to one seeded field.
"""
