"""A host's jobs and L2HMC updates in turn, on the stream of files that the host keeps.

    python examples/continue_stream.py run/ckpoint_lat.120 --rounds 5 --host \
        './hmc --StartingType CheckpointStart --StartingTrajectory {number} --Trajectories 4'

Each round: one `l2hmc-bridge sample --continue` on the last configuration, then the host's command
with {number} and {path} of the new one put in, which must leave a later one of the same stream.
Other options are those of `sample`.
docs/how-to/streams-by-files.md says what each host wants.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.streams import names as host_streams
from l2hmc_bridge.adapters.streams.names import HostStream
from l2hmc_bridge.cli import main as l2hmc_bridge


def stream_of(path: Path) -> HostStream:
    """The stream that a configuration belongs to. Raises BridgeError."""
    return host_streams.recognise(path, files.header(path))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a configuration of the stream")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--host", help="command that goes on from {number}, {path}")
    options, more = parser.parse_known_args(argv)
    for _ in range(options.rounds):
        path = host_streams.last(stream_of(options.path))
        status = l2hmc_bridge(["sample", "--continue", str(path), *more])
        if status:
            return status
        if options.host:
            stream = stream_of(host_streams.last(stream_of(path)))
            command = options.host.format(number=stream.number, path=stream.path(stream.number))
            subprocess.run(shlex.split(command), check=True)
            if host_streams.last(stream_of(path)) == stream.path(stream.number):
                print(f"{stream.path(stream.number)}: expected a later one after {command}, found "
                      "none: the host did not go on from it", file=sys.stderr)
                return 1
    print(f"last configuration: {host_streams.last(stream_of(options.path))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
