"""What a stream keeps in its folder, and how its parts are bound to each other.

`definition` fixes every trajectory (`specs`: its kernel, `bounds`: what its numbers may be), `rows`
is what is known of each, `log` the rows on disk, `state` the point from which the stream goes on
(`belonging`: whether that fits its kernel and rows), `history` the columns for others, `folder` the
names of all this, `chains` says whose fields a process holds. The state holds a digest of the log,
a row those of the configurations written with it, the history that of the stream; foreign parts are
refused.
"""
