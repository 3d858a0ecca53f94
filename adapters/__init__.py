"""Gauge files and live lattice objects to and from `links` tensors."""
