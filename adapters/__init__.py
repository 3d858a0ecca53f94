"""Gauge files of every code, and live lattice objects, to and from one torch tensor."""
