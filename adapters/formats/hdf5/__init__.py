"""HDF5: our ensembles, PyQUDA's LatticeColorMatrix, plain arrays of lyncs.

`header` and `links` are the format, `ensemble` and `ensemble_header` our own files, `arrays`
those of others; `safety`, `texts` and `child` keep damaged files from doing harm.
"""
