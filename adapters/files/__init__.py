"""Any gauge file by its bytes: the table of formats, and what is made of several files.

`table` reads, writes and detects, `second_looks` mends and doubts, `reading` is how to read as one
value, `ensemble` opens many, `sources` finds them for a command, `measure_files` measures them.
"""
