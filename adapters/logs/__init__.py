"""Logs of other codes, one code a file; `table` finds out whose log it is."""
