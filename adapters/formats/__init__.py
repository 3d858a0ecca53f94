"""One format a pair of files: NAME_header.py (no torch) and NAME.py (links).

The formats in LIME containers are in `lime/`, those in HDF5 in `hdf5/`.
"""
