"""Bytes to links and back: blocks of sites, byte order, precision, checksums, quality of links.

`move` reads and writes payloads, `blocks` and `arrays` cut them up, `layout` names the natural
orders, `checksums` and `byte_kernels` are the loops over bytes, `quality` measures links as they
pass, `dispatch` chooses compiled loops for large files.
"""
