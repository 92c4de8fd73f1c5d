"""A graceful stop: the first SIGINT or SIGTERM is a request, the second acts at once."""

import signal
import threading
import time
from types import FrameType

from hwsearch.nn.processes import largest

ECHO_SECONDS = 2.0
"""Time in which a further signal is the first one's echo: torchrun hands on to its processes what
a terminal or a scheduler has sent to each of them already."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Hears, while it is entered, whether the run is asked to stop.

    The first signal is only noted, so that a step is never torn. One that comes more than
    `ECHO_SECONDS` later has its former meaning and ends the process where it stands. Outside of
    the main thread, where Python allows no handlers, nothing is heard.

    Attributes:
        received: The signal that asked, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._heard_at: float | None = None
        self._former = {number: signal.getsignal(number) for number in _SIGNALS}

    @property
    def exit_code(self) -> int:
        """128 and the signal, as shells and schedulers expect of a job that was told to end.

        Not 0: what follows in a job script must not take an unfinished run for a finished one.
        """
        assert self.received is not None
        return 128 + self.received

    def agreed(self) -> bool:
        """Returns whether any process that trains together was asked; called by all, in turn."""
        if found := largest(self.received or 0):
            self.received = signal.Signals(found)
        return self.received is not None

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._heard_at is None:
            self._heard_at, self.received = now, self.received or signal.Signals(number)
        elif now - self._heard_at > ECHO_SECONDS:
            self._give_back()
            signal.raise_signal(number)

    def _give_back(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._former.items():
                signal.signal(number, handler or signal.SIG_DFL)
