"""Streams that other codes keep as files.

`names` knows how each code numbers its configurations, `side_files` what it wants beside them,
`couplings` the beta these state.
"""
