"""Plain lines when nobody watches, a bar when somebody does."""

import pytest
from rich.console import Console

from hwsearch import plain, progress
from hwsearch.progress import track


def test_plain_lines_come_at_each_tenth_and_at_the_end(capsys):
    with track("train", 100) as advance:
        for step in range(100):
            advance(note=f"loss={step}")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("train: 10/100 (10%)") and lines[0].endswith("loss=9")
    assert lines[-1].startswith("train: 100/100 (100%)") and "left" not in lines[-1]


def test_a_resumed_job_starts_where_it_stopped(capsys):
    with track("profile", 40, start=38) as advance:
        advance(2)
    assert capsys.readouterr().out.startswith("profile: 40/40 (100%)")


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress, "console", Console(force_terminal=True, width=100))
    with track("search", 3) as advance:
        advance(3, "front=2 [a]")
    shown = capsys.readouterr().out
    assert "search" in shown and "3/3" in shown and "front=2 [a]" in shown


def test_the_estimate_counts_only_this_run(monkeypatch, capsys):
    clock = iter([0.0, 60.0])
    monkeypatch.setattr(plain.time, "monotonic", lambda: next(clock))
    with track("train", 100, start=50) as advance:
        advance(25)
    assert "75/100 (75%), 1:00, 1:00 left" in capsys.readouterr().out


def test_a_failure_inside_is_not_swallowed():
    with pytest.raises(KeyError), track("train", 2):
        raise KeyError("loss")
