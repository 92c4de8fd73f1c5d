"""A machine at the other end of ssh: commands and copies that outlive a dead link."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.progress import say

RETRY_SECONDS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Pauses before a dead link is tried again."""

_DEAD = 255
"""What ssh and scp end with if it was the link that failed."""

_OPTIONS = {
    "BatchMode": "yes",  # there is nobody to type a password
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
}
_FLAGS = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: Exit status.
        message: The last line of its messages.
    """

    status: int
    message: str


@dataclass(frozen=True)
class Link:
    """Speaks to one host; keys, ports and names are those of the user's ssh.

    Attributes:
        host: As ssh takes it, such as "user@board".
    """

    host: str

    def __post_init__(self) -> None:
        if not self.host or self.host.startswith("-") or not self.host.isprintable():
            raise HwsearchError(f"--host '{self.host}' is no host", fix="Write --host user@board")

    def reach(self, command: str) -> None:
        """Runs a first command.

        Raises:
            HwsearchError: If the host cannot be reached or the command fails.
        """
        ended = self._ssh(command, lambda line: None)
        if ended.status:
            raise HwsearchError(
                f"cannot work on {self.host}: {ended.message}",
                fix=f"Make this work first: ssh -o BatchMode=yes {self.host} true",
            )

    def run(self, command: str, on_line: Callable[[str], object]) -> Ended:
        """Runs a command; if the link dies, runs it again.

        Args:
            command: For the shell of the host; running it again must do no harm.
            on_line: Called with each line that it prints.

        Raises:
            HwsearchError: If the link stays dead.
        """
        lines = 0

        def count(line: str) -> None:
            nonlocal lines
            lines += 1
            on_line(line)

        return self._persist(lambda: self._ssh(command, count), lambda: lines)

    def send(self, files: Sequence[Path], folder: str) -> None:
        """Copies files into a folder of the host.

        Raises:
            HwsearchError: If the link stays dead or a file cannot be written there.
        """
        self._copy([*map(str, files), f"{self.host}:{folder}/"])

    def fetch(self, file: str, to: Path) -> None:
        """Copies a file of the host.

        Raises:
            HwsearchError: If the link stays dead or there is no such file.
        """
        self._copy([f"{self.host}:{file}", str(to)])

    def _copy(self, words: Sequence[str]) -> None:
        command = ["scp", "-q", *_FLAGS, "--", *words]
        ended = self._persist(lambda: _run(command, lambda line: None), lambda: 0)
        if ended.status:
            raise HwsearchError(f"cannot copy from or to {self.host}: {ended.message}")

    def _ssh(self, command: str, on_line: Callable[[str], object]) -> Ended:
        return _run(["ssh", *_FLAGS, "--", self.host, command], on_line)

    def _persist(self, work: Callable[[], Ended], progress: Callable[[], int]) -> Ended:
        """Does work again while the link fails; pauses start over after any progress."""
        failures, before = 0, progress()
        while (ended := work()).status == _DEAD:
            failures = 1 if progress() > before else failures + 1
            before = progress()
            if failures > len(RETRY_SECONDS):
                raise HwsearchError(
                    f"the link to {self.host} is dead: {ended.message}",
                    fix="Run the same command again when it lives: it goes on where it was",
                )
            say(f"{self.host}: {ended.message or 'the link died'}; trying again")
            time.sleep(RETRY_SECONDS[failures - 1])
        return ended


def _run(command: Sequence[str], on_line: Callable[[str], object]) -> Ended:
    """Runs a program of this machine and passes on what it prints."""
    with tempfile.TemporaryFile("w+", errors="replace") as messages:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                errors="replace",
            )
        except FileNotFoundError as cause:
            fix = "Install the OpenSSH client"
            raise HwsearchError(f"there is no {command[0]} here", fix=fix) from cause
        with child:
            assert child.stdout is not None
            for line in child.stdout:
                on_line(_printable(line))
        messages.seek(0)
        said = [line for line in map(_printable, messages) if line]
    return Ended(child.returncode, said[-1] if said else "")


def _printable(line: str) -> str:
    """Leaves out what could steer the terminal."""
    return "".join(letter for letter in line if letter.isprintable()).strip()
