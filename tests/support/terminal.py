"""The command line on a terminal of so many columns, and in a pipe."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

from tests.support.places import ROOT

COLOUR, CONTROL = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")


def on_terminal(columns: int, *words: object) -> tuple[int, list[str]]:
    """Exit status and every line that was ever shown, without colours and other control codes."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(_command(words), stdin=slave, stdout=slave, stderr=slave, cwd=ROOT,
                               env=_environment(TERM="xterm"))
    os.close(slave)
    data = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        data += part
    os.close(master)
    text = CONTROL.sub("\r", COLOUR.sub("", data.decode()))
    return process.wait(), [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def in_pipe(*words: object, **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    done = subprocess.run(_command(words), capture_output=True, text=True, cwd=ROOT,
                          env=_environment(**environment))
    return done.returncode, done.stdout, done.stderr


def _command(words: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "l2hmc_bridge.cli", *map(str, words)]


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return {**kept, "OMP_NUM_THREADS": "1", **more}
