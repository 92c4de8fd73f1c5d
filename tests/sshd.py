"""A real sshd on the loopback, with a throw-away key and a home of its own, and clients for it."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

CLIENT = """\
Host board
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking accept-new
"""

SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp {sftp}
ForceCommand cd {folder}/home && eval "$SSH_ORIGINAL_COMMAND"
"""


class Sshd:
    """Starts and stops the server; `ssh board` reaches it through the clients in `bin`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.bin = folder, folder / "home", folder / "bin"
        self.program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        sftp = next(Path("/usr").glob("lib*/**/sftp-server"), None)
        if not (self.program and sftp and shutil.which("ssh") and shutil.which("scp")):
            pytest.skip("no sshd, ssh and scp here: install openssh-server")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        for path in (self.home, self.bin):
            path.mkdir(parents=True)
        for name in ("key", "host"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        values = {"port": self.port, "folder": folder, "sftp": sftp, "user": getpass.getuser()}
        (folder / "client").write_text(CLIENT.format(**values))
        (folder / "server").write_text(SERVER.format(**values))
        for name in ("ssh", "scp"):
            script = self.bin / name
            script.write_text(f'#!/bin/sh\nexec {shutil.which(name)} -F {folder}/client "$@"\n')
            script.chmod(0o755)
        self.server: subprocess.Popen | None = None

    def start(self) -> None:
        assert self.program
        command = [self.program, "-D", "-f", str(self.folder / "server")]
        command += ["-E", str(self.folder / "log")]
        self.server = subprocess.Popen(command)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        pytest.skip(f"sshd does not start: {(self.folder / 'log').read_text()}")

    def runs(self, program: str) -> bool:
        """Whether one of the sessions runs a program with these words in its command."""
        return bool(self.server) and any(
            program in _command(pid) for pid in _descendants(self.server.pid)
        )

    def cut(self) -> None:
        """Ends all sessions as if the cable had been pulled out; the server stays."""
        assert self.server
        for pid in _descendants(self.server.pid):
            if _name(pid).startswith("sshd"):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        if self.server:
            self.cut()
            self.server.kill()
            self.server.wait()
            self.server = None


def _descendants(pid: int) -> list[int]:
    children = _read(pid, f"task/{pid}/children").split()
    return [found for child in map(int, children) for found in (child, *_descendants(child))]


def _name(pid: int) -> str:
    return _read(pid, "comm")


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace("\0", " ")


def _read(pid: int, file: str) -> str:
    """What the system says of a process; nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
