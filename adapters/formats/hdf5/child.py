"""Run as a program: reads text attributes of one HDF5 file, and nothing else; see hdf5_texts.

Standard input: JSON {"path", "search" (sys.path), "seconds", "bytes", "wanted": [[object, name]]}.
Standard output: one line of JSON, {"texts": [...]} or {"error": text}.
"""

import json
import resource
import sys


def limit(seconds: int, size: int) -> None:
    """Let the kernel end this process after so many seconds of its processor's time from here."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    for kind, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, used + seconds),
                        (resource.RLIMIT_AS, size)):
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):  # lower already, or not on this system
            continue


def leave_mpi_alone() -> None:
    """An h5py built with MPI would start MPI a second time inside its parent's job."""
    try:
        import mpi4py
    except ImportError:
        return
    mpi4py.rc.initialize = mpi4py.rc.finalize = False


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.read())
    sys.path[:] = request["search"]
    leave_mpi_alone()
    import h5py

    limit(request["seconds"], request["bytes"])
    texts = []
    try:
        with h5py.File(request["path"], "r") as file:
            for owner, name in request["wanted"]:
                text = file[owner].attrs[name]
                texts.append(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
        answer = json.dumps({"texts": texts})
    except Exception as error:  # whatever a damaged file brings out of the library
        answer = json.dumps({"error": " ".join(str(error).split())[:200]})
    sys.stdout.write(answer + "\n")


if __name__ == "__main__":
    main()
