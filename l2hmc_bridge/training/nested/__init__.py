"""Training of nested steps on a host: its terms are a black box that is asked for S and F.

`config` reads a training file, `host` finds the host it names, `shape` turns schedules into free
numbers and back, `sample` measures energy errors, `loop` trains, `outcome` validates and saves.
"""
