"""Streams that other codes keep as files.

`names` knows how each code numbers its configurations, `side_files` what it wants beside them,
`theory` what these state of action, coupling and quarks.
"""
