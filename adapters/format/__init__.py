"""What a file format is: a record, metadata with common keys, checks.

`record` has `Format`, `metadata` the keys and printing, `checks` the verification every reader
makes.
"""
