"""Any gauge file by its bytes: the table of formats, and what is made of several files.

`table` reads, writes and detects, `ensemble` opens many, `sources` finds configurations for a
command, `measure_files` measures them, `stream_files` serves a stream.
"""
