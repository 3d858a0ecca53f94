"""Files in the dialects of other codes, built byte by byte for the tests."""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from tests.support import independent, samples

ILDG = (
    '<?xml version="1.0" encoding="UTF-8"?><ildgFormat xmlns="http://www.lqcd.org/ildg">'
    "<version>1.0</version><field>{field}</field><precision>{bits}</precision>"
    "<lx>{0}</lx><ly>{1}</ly><lz>{2}</lz><lt>{3}</lt></ildgFormat>"
)
PRIVATE = (
    "<scidacRecord><version>1.1</version><recordtype>{kind}</recordtype><precision>{letter}"
    "</precision><colors>3</colors><typesize>{size}</typesize><datacount>{count}</datacount>"
    "</scidacRecord>"
)
FILE = (
    "<scidacFile><version>1.1</version><spacetime>4</spacetime><dims>{0} {1} {2} {3} </dims>"
    "<volfmt>0</volfmt></scidacFile>"
)
MB, ME = 0x8000, 0x4000


def record(kind: str, data: bytes | str, flags: int = 0) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    head = struct.pack(">IHHQ128s", 0x456789AB, 1, flags, len(data), kind.encode())
    return head + data + bytes(-len(data) % 8)


def lime(path: Path, *records: bytes) -> Path:
    path.write_bytes(b"".join(records))
    return path


def xyzt(links: torch.Tensor) -> tuple[int, int, int, int]:
    nt, nx, ny, nz = links.shape[2:6]
    return nx, ny, nz, nt


def ildg_format(links: torch.Tensor, bits: int = 64, field: str = "su3gauge") -> str:
    return ILDG.format(*xyzt(links), bits=bits, field=field)


def private(bits: int = 64, count: int = 4, kind: int = 0) -> str:
    letter = "D" if bits == 64 else "F"
    return PRIVATE.format(letter=letter, size=18 * bits // 8, count=count, kind=kind)


def checksum(data: bytes, site: int) -> str:
    suma = sumb = 0
    for rank in range(len(data) // site):
        crc = zlib.crc32(data[rank * site : (rank + 1) * site])
        suma ^= independent._rotate(crc, rank % 29)
        sumb ^= independent._rotate(crc, rank % 31)
    return (f"<scidacChecksum><version>1.0</version><suma>{suma:x}</suma><sumb>{sumb:x}</sumb>"
            "</scidacChecksum>")


def posix_cksum(data: bytes) -> int:
    """cksum(1), bit by bit."""
    tail, size = bytearray(), len(data)
    while size:
        tail.append(size & 255)
        size >>= 8
    crc = 0
    for byte in data + bytes(tail):
        for bit in range(7, -1, -1):
            carry = (crc >> 31) ^ (byte >> bit & 1)
            crc = (crc << 1 & 0xFFFFFFFF) ^ 0x04C11DB7 * carry
    return crc ^ 0xFFFFFFFF


def headerless(links: torch.Tensor) -> dict[str, bytes]:
    """The payloads without a header, by their definitions."""
    array = links[0].numpy()[[1, 2, 3, 0]]  # mu = x,y,z,t
    kyu = array.transpose(0, 6, 5, 1, 4, 3, 2)  # mu, column, row, t, z, y, x
    kyu = np.stack([kyu.real, kyu.imag], axis=3).astype(">f8")
    jlqcd = array.transpose(0, 1, 4, 3, 2, 5, 6).astype(">c16")
    return {"kyu": kyu.tobytes(), "jlqcd": jlqcd.tobytes(), "raw": samples.payload(links)}


def nersc(
    path: Path,
    links: torch.Tensor,
    floating: str | None = "IEEE64BIG",
    rows: int = 3,
    dtype: str = ">c16",
    **changes: str | None,
) -> Path:
    """A NERSC file whose keys can be changed, or left out with None."""
    data = samples.payload(links, dtype, rows)
    words = np.frombuffer(data, f"{dtype[0]}u4")
    stored = torch.from_numpy(links.numpy().astype(dtype).astype("c16"))
    if rows == 2:
        third = torch.linalg.cross(stored[..., 0, :], stored[..., 1, :]).conj()
        stored = torch.cat([stored[..., :2, :], third[..., None, :]], dim=-2)
    keys = {
        "DATATYPE": "4D_SU3_GAUGE_3x3" if rows == 3 else "4D_SU3_GAUGE",
        **{f"DIMENSION_{i}": str(n) for i, n in enumerate(xyzt(links), 1)},
        "CHECKSUM": f"{int(words.sum(dtype='u8')) % 2**32:x}",
        "LINK_TRACE": f"{independent.link_trace(stored[0].numpy()):.10f}",
        "PLAQUETTE": f"{independent.plaquette(stored[0].numpy()):.10f}",
        "FLOATING_POINT": floating,
        **changes,
    }
    lines = [f"{key} = {value}" for key, value in keys.items() if value is not None]
    path.write_bytes("\n".join(["BEGIN_HEADER", *lines, "END_HEADER", ""]).encode() + data)
    return path
