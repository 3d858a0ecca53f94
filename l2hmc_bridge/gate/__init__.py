"""The proof that a kernel is exact, before it touches an ensemble.

`rows` is the table of checks, `report` runs it on a bundle; `laws` measures how far each law is
violated, `engines` compares the engine that serves with torch, `exact` has the rows for systems
with exact answers, `dense` those for networks of one volume, `probes` what is put in to see a
kernel react.
"""
