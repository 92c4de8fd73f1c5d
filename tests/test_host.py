"""Profiling over ssh: a real sshd on the loopback, whose links die."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kits import SMALL
from moments import wait_for
from sshd import Sshd

from hwsearch import journal
from hwsearch.cli import main
from hwsearch.errors import HwsearchError
from hwsearch.journal import Busy, Journal
from hwsearch.kit.jobs import PROGRAM, JobList
from hwsearch.latency.table import Table
from hwsearch.profiling import link, remote
from hwsearch.profiling.link import Link
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.pack import kit_folder
from hwsearch.profiling.remote import REMOTE_FOLDER


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A host called board."""
    server = Sshd(tmp_path / "sshd")
    monkeypatch.setenv("PATH", f"{server.bin}:{os.environ['PATH']}")
    server.start()
    yield server
    server.stop()


def words(bare: Path, out: Path) -> list[str]:
    given = {name: value for name, value in SMALL.items() if name != "ships"}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return ["profile", *flags, "--host=board", f"--host-python={bare}", f"--out={out}"]


def test_results_come_home_over_links_that_die(
    bare: Path,
    board: Sshd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(link, "RETRY_SECONDS", (0.2, 0.2))
    out, command = tmp_path / "tables", words(bare, tmp_path / "tables")

    def visits() -> int:
        files = (board.home / REMOTE_FOLDER).glob("*/results-t1.jsonl")
        return sum(path.read_bytes().count(b'"visit"') for path in files)

    def end_the_host() -> None:
        wait_for(lambda: visits() > 5)
        board.stop()

    killer = threading.Thread(target=end_the_host)
    killer.start()
    assert main(command) == 2
    killer.join()
    said = capsys.readouterr()
    assert "the link to board is dead" in said.err and "same command again" in said.err
    assert "trying again" in said.out and not out.joinpath("board").exists()
    before = visits()

    def cut_the_link() -> None:
        # A run that outlived its link may still add visits: only a session's own counts.
        wait_for(lambda: board.runs(f"{PROGRAM} --budget-minutes") and visits() > before + 5)
        board.cut()

    board.start()
    killer = threading.Thread(target=cut_the_link)
    killer.start()
    assert main(command) == 0
    killer.join()
    said = capsys.readouterr().out
    assert "trying again" in said and "copy to board" not in said and "board: measure" in said
    (path,) = out.glob("board/*.jsonl")
    table = Table.read(path)
    assert len(table.networks("evidence")) == 3 and table.header.visits >= before + 5
    check_that_fresh_spares_a_run(board, command)
    assert "another run goes on at board" in capsys.readouterr().err


def check_that_fresh_spares_a_run(board: Sshd, command: list[str]) -> None:
    (results,) = (board.home / REMOTE_FOLDER).glob("*/results-t1.jsonl")
    kept = results.read_bytes()
    with Journal.open(results.with_name("work.lock"), "lock", {}):  # as a run there holds it
        assert main([*command, "--fresh"]) == 2
    assert results.read_bytes() == kept


def test_what_the_host_lacks_is_told_in_one_line(
    board: Sshd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words(Path("/usr/bin/no-python"), tmp_path)
    assert main([*command, "--evidence=1", "--heldout=0", "--budget-minutes=0.005"]) == 2
    said = capsys.readouterr().err
    assert "the kit failed on board" in said and "pip install numpy" in said
    assert said.count("\n") == 1


def test_a_host_that_cannot_be_reached_is_told(
    board: Sshd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board.stop()
    assert main(words(Path("python3"), tmp_path)) == 2
    assert "cannot work on board" in capsys.readouterr().err
    with pytest.raises(HwsearchError, match=r"is no host.*user@board"):
        Link("-oProxyCommand=true")


def test_two_hosts_share_a_kit_but_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ProfileOptions(**SMALL | {"evidence": 1, "heldout": 0}, host="one", out=tmp_path)
    folder = kit_folder(options, tmp_path)
    fetched: list[Path] = []
    monkeypatch.setattr(Link, "reach", lambda *_: None)
    monkeypatch.setattr(Link, "fetch", lambda link, file, to: fetched.append(to))
    monkeypatch.setattr(remote, "make_kit", lambda *_: JobList({}, 1, 1.0, (), 1, {}, ("", ""), {}))
    for name in ("_send", "_measure", "import_results"):
        monkeypatch.setattr(remote, name, lambda *_: tmp_path)
    for host in ("one", "two"):
        remote.profile_host(replace(options, host=host))
    assert len(set(fetched)) == 2 and {path.parent for path in fetched} == {folder}
    monkeypatch.setattr(journal, "LOCK_SECONDS", 0.1)
    with Journal.open(folder.with_name(f"{folder.name}.lock"), "lock", {}), pytest.raises(Busy):
        remote.profile_host(options)
