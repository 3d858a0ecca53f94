"""When a run should end early."""

import time

from l2hmc_bridge.stream.progress import Stop


class Deadline:
    """Why to stop after the present trajectory: what `stop` says, or the time allowed is over."""

    def __init__(self, max_seconds: float | None, stop: Stop):
        self.began = self.last = time.monotonic()
        self.max_seconds, self.stop, self.longest = max_seconds, stop, 0.0

    def why(self) -> str | None:
        """To be asked once per trajectory: the time allowed must hold one more, as long as any."""
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        reason = self.stop()
        if reason is not None:
            return reason
        if self.max_seconds is not None and now - self.began + self.longest > self.max_seconds:
            return f"by --max-seconds {self.max_seconds:g}"
        return None

    def restart(self) -> None:
        """Forget how long a trajectory took: another kind begins."""
        self.longest, self.last = 0.0, time.monotonic()
