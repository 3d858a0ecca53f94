"""Streams that other codes keep as files.

`names` knows how each code numbers its configurations, `side_files` what it wants beside them
(`side`: one of these, `chroma_restart`: Chroma's), `theory` what they state of action, coupling and
quarks, `stream_files` how a stream of ours reads and writes.
"""
