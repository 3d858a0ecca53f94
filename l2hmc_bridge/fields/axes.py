"""The only place where an axis is named: the order of links, and of what files store."""

AXES = ("batch", "direction", "t", "x", "y", "z", "row", "column")
DIRECTIONS = ("t", "x", "y", "z")  # links[:, 0] points in time
SITE_AXES = (2, 3, 4, 5)  # the axis of links along which direction mu runs is SITE_AXES[mu]

# What NERSC, ILDG, SciDAC and MILC store, slowest axis first.
FILE_AXES = ("t", "z", "y", "x", "direction", "row", "column")
FILE_DIRECTIONS = ("x", "y", "z", "t")
