"""openQCD's <name>.ms.dat: gradient-flow measurements, little-endian binary (README.qcd1).

Header: int32 dn, nn, T, float64 eps. Records: int32 trajectory, then float64 W[nn+1][T] (action
density from plaquettes), Y[nn+1][T] (from the clover), Q[nn+1][T] (charge), each summed over the
three-dimensional time slice, at flow times n dn eps. pyerrors reads the same
(pyerrors.input.openQCD.extract_t0, read_qtop); its readers give means, this one configurations.

Q changes sign here: openQCD's is (1/8 pi^2) sum (F^a_01 F^a_23 + F^a_02 F^a_31 + F^a_03 F^a_12)
with 0 = t (modules/tcharge/tcharge.c), eps_txyz = +1; ours has eps_xyzt = +1.
"""

import numpy as np

from l2hmc_bridge.analysis.references import Reference, Value
from l2hmc_bridge.errors import FormatError

TOLERANCE = 1e-9  # openQCD's links may be single precision on disk


def recognise(raw: bytes) -> bool:
    """Whether the header is one, and the rest is whole records of its size, numbers 1, 2, ... up.
    """
    if len(raw) < 20:
        return False
    dn, nn, slices = (int(n) for n in np.frombuffer(raw, "<i4", 3))
    eps = float(np.frombuffer(raw, "<f8", 1, 12)[0])
    if not (0 < dn < 1 << 20 and 0 <= nn < 1 << 20 and 0 < slices < 1 << 12 and 0 < eps < 1):
        return False
    record = _record(nn, slices)
    if len(raw) == 20 or (len(raw) - 20) % record.itemsize:
        return False
    numbers = np.frombuffer(raw, record, offset=20)["trajectory"]
    return bool(numbers[0] >= 0 and (np.diff(numbers) > 0).all())


def _record(nn: int, slices: int) -> np.dtype:
    return np.dtype([("trajectory", "<i4"), ("data", "<f8", (3, nn + 1, slices))])


def parse(raw: bytes, lattice: tuple[int, int, int, int] | None = None) -> list[Reference]:
    """One Reference per record; energy densities need the spatial extents of `lattice`."""
    if len(raw) < 20:
        raise FormatError(f"expected openQCD's .ms.dat of at least 20 bytes, found {len(raw)}")
    dn, nn, slices = (int(n) for n in np.frombuffer(raw, "<i4", 3))
    eps = float(np.frombuffer(raw, "<f8", 1, 12)[0])
    if not (dn > 0 and 0 <= nn < 1 << 20 and 0 < slices < 1 << 12 and 0 < eps < 1):
        raise FormatError(f"expected openQCD's .ms.dat, found dn {dn}, nn {nn}, T {slices}, "
                          f"eps {eps:g}")
    record = _record(nn, slices)
    if (len(raw) - 20) % record.itemsize:
        raise FormatError(f"expected records of {record.itemsize} bytes, found "
                          f"{(len(raw) - 20) % record.itemsize} bytes more")
    if lattice is not None and lattice[3] != slices:
        raise FormatError(f"expected T = {lattice[3]} as in the configurations, found {slices}")
    rows = np.frombuffer(raw, record, offset=20)
    return [_reference(row, dn * eps, eps, lattice) for row in rows]


def _reference(row: np.void, spacing: float, eps: float, lattice: tuple | None) -> Reference:
    plaquette, clover, charge = row["data"].sum(axis=2)  # over time slices: [nn+1] each
    one = Reference("openQCD .ms.dat", trajectory=int(row["trajectory"]), lattice=lattice,
                    traceless=True, flow_step=eps)
    for n in range(charge.size):
        values = {"topological_charge": _value(-charge[n])}  # eps_txyz = -eps_xyzt
        if lattice is not None:
            sites = float(np.prod(lattice))
            values["energy_density"] = _value(clover[n] / sites)
            values["plaquette"] = _value(1 - plaquette[n] / sites / 36)
        if n == 0:
            one.values.update(values)
        else:
            one.flow[round(n * spacing, 12)] = values
    return one


def _value(number: float) -> Value:
    return Value(float(number), TOLERANCE * max(1.0, abs(number)))
