"""Flags, config files and their mistakes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from hwsearch.arguments import options_of, parse_options
from hwsearch.errors import HwsearchError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a made-up verb."""

    directory: Path
    """Where it happens."""
    tables: tuple[str, ...] = ("a", "b")
    """Which tables."""
    budget_minutes: float | None = None
    """When to stop."""
    steps: int = 10
    """How often; 100 % is all."""
    precision: Literal["fp32", "int8"] = "fp32"
    """How exact."""
    resume: bool = False
    """Go on."""


def parse(*words: str) -> Options:
    return parse_options(
        Options,
        words,
        prog="hwsearch made-up",
        summary="Does nothing.",
        example="hwsearch made-up here",
        positional=("directory",),
    )


def test_every_kind_of_value_reaches_its_field():
    words = "here --tables x --tables y --budget-minutes 1.5 --steps=3 --precision int8 --resume"
    assert parse(*words.split()) == Options(
        directory=Path("here"),
        tables=("x", "y"),
        budget_minutes=1.5,
        steps=3,
        precision="int8",
        resume=True,
    )


@pytest.mark.parametrize("words", [("--steps", "3", "here"), ("--steps", "3", "--directory=here")])
def test_a_positional_may_come_last_or_as_a_flag(words):
    assert parse(*words) == Options(directory=Path("here"), steps=3)


def test_a_config_file_gives_options_and_flags_override_them(tmp_path):
    config = tmp_path / "made-up.toml"
    config.write_text('directory = "there"\nsteps = 3\ntables = ["x", "y"]\nresume = true\n')
    assert parse("--config", str(config), "here", "--no-resume") == Options(
        directory=Path("here"), steps=3, tables=("x", "y")
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("here --stps 3", "unknown option '--stps'. Did you mean --steps"),
        ("here there", "unexpected argument 'there'"),
        ("--steps 3", "--directory must be given"),
        ("here --steps many", "--steps takes a whole number, not 'many'"),
        ("here --budget-minutes soon", "--budget-minutes takes a number, not 'soon'"),
        ("here --budget-minutes inf", "--budget-minutes takes a finite number, not 'inf'"),
        ("caf\udce9", "--directory takes UTF-8, not 'caf\\udce9'"),
        ("null\0character", "--directory takes no null characters, as in 'null\\x00character'"),
        ("here --precision int9", "Did you mean int8?"),
        ("here --steps", "expected one argument"),
        ("here --config missing.toml", "the config file does not exist (missing.toml)"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_command_line(words, message):
    with pytest.raises(HwsearchError) as error:
        parse(*words.split())
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stps = 3", "unknown key in made-up.toml 'stps'. Did you mean steps?"),
        ("[steps]\nmany = 3", "steps is a table"),
        ("steps = ", "cannot read the config file"),
        ('steps = "many"', "--steps takes a whole number"),
        ("budget_minutes = nan", "--budget-minutes takes a finite number"),
    ],
)
def test_a_mistake_in_a_config_file_names_the_key(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("made-up.toml").write_text(text)
    with pytest.raises(HwsearchError) as error:
        parse("here", "--config", "made-up.toml")
    assert message in str(error.value)


def test_help_shows_each_option_with_its_docstring_default_and_an_example(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = capsys.readouterr().out
    assert "usage: hwsearch made-up [DIRECTORY] [options]" in text
    assert "Which tables. (default: a b)" in text
    assert "100 % is all" in text
    assert text.rstrip().endswith("hwsearch made-up here")


def test_options_know_their_flag():
    assert [option.flag for option in options_of(Options)][2] == "--budget-minutes"


def test_of_many_names_those_that_are_near_are_told() -> None:
    many = [f"table-{number}" for number in range(40)]
    assert str(unknown_name("table", "table-3x", many)).endswith("? 40 are known.")
    assert "table-39" in str(unknown_name("table", "zebra", many))
