"""Every verb: its help, its example, its examples file, and how light it is."""

import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from synthetic_device import SyntheticDevice

from hwsearch.arguments import options_of, parse_options
from hwsearch.cli import main, overview
from hwsearch.verbs import VERBS

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))
HEAVY = ("torch", "pandas", "sklearn", "scipy", "onnxruntime", "openvino", "matplotlib", "pymoo")

every_verb = pytest.mark.parametrize("name", VERBS)


def parse(name: str, words: list[str]) -> object:
    verb = VERBS[name]
    return parse_options(
        verb.options_class(),
        words,
        prog=f"hwsearch {name}",
        summary=verb.summary,
        example=verb.example,
        positional=verb.positional,
    )


def modules_after(words: str) -> set[str]:
    """Names the heavy packages that are loaded once a command has ended."""
    code = (
        "import sys\nfrom hwsearch.cli import main\n"
        f"try:\n    assert main({words.split()!r}) == 0\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', *(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


@every_verb
def test_help_shows_every_option_and_an_example(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert f"hwsearch {name}" in text.partition("example:")[2]
    for option in options_of(VERBS[name].options_class()):
        assert option.flag in text
        assert option.help.endswith("."), f"{option.flag} needs a sentence"


@every_verb
def test_the_example_in_the_help_parses(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("searches/photos").mkdir(parents=True)
    for example in (VERBS[name].example, *VERBS[name].more_examples):
        words = shlex.split(example)
        start = ["hwsearch", *name.split()]
        assert words[: len(start)] == start
        parse(name, words[len(start) :])


@every_verb
def test_the_function_of_a_verb_exists(name):
    assert callable(VERBS[name].run())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_file_fits_the_options_of_its_verb(path):
    assert tomllib.loads(path.read_text())
    words = path.stem.replace("-", " ")
    name = words if words in VERBS else words.partition(" ")[0]
    parse(name, ["--config", str(path)])


def test_the_overview_names_every_verb_in_its_group(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text.rstrip() == overview()
    for name, verb in VERBS.items():
        assert f"  {name} " in text
        assert text.index(f"{verb.group}:") < text.index(f"  {name} ")


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hwsearch 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("serch", "unknown command 'serch'. Did you mean search"),
        ("predict --tabel x", "unknown option '--tabel'. Did you mean --table"),
        ("train", "must be given"),
    ],
)
def test_a_mistake_ends_in_one_line_and_status_2(words, message, capsys):
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert said.err.startswith("hwsearch: error: ") and message in said.err
    assert said.err.count("\n") == 1 and said.out == ""


def test_an_interrupted_command_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hwsearch.profiling.profile.profile", interrupted)
    assert main(shlex.split(VERBS["profile"].example)[1:]) == 130
    said = capsys.readouterr().err
    assert "the same command goes on" in said and said.count("\n") == 1


@pytest.mark.parametrize("words", ["--help", "devices list", "profile --help"])
def test_looking_around_loads_nothing_heavy(words):
    assert modules_after(words) == set()


def test_predicting_and_reading_tables_load_no_torch(tmp_path):
    table = SyntheticDevice().table(12, 3, folder=tmp_path)
    table.path.parent.mkdir()
    table.write()
    for words in (f"predict --subnet max --table {table.path}", f"table show {table.path}"):
        assert "torch" not in modules_after(words)
