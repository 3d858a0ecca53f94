"""Formats in LIME containers: ILDG and SciDAC in every dialect.

`container` walks records, `records` and `markup` read them, `fields` finds the payload, `told` what
the texts say; `ildg_header` and `ildg` are the format.
"""
