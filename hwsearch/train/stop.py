"""A graceful stop: the first SIGINT or SIGTERM is a request, the second acts at once."""

import signal
import threading
from types import FrameType, TracebackType

from hwsearch.nn.processes import largest

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Hears, while it is entered, whether the run is asked to stop.

    The first signal is only noted, so that a step is never torn; it also gives the signals their
    former meaning back, so that a second one ends the process where it stands. Outside of the
    main thread, where Python allows no handlers, nothing is heard.

    Attributes:
        received: The signal that asked, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._give_back()

    def _give_back(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._former.items():
                signal.signal(number, handler)
