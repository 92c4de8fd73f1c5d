"""Every verb: its help, its example, its examples file, and how light it is."""

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

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


def run_apart(words: str, *before: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own."""
    command = [*before, sys.executable, "-m", "hwsearch", *words.split()]
    return subprocess.run(command, check=False, text=True, stderr=subprocess.PIPE, **how)


def test_a_path_that_cannot_be_looked_at_is_told_in_one_line(tmp_path, capsys):
    assert main(["report", "a" * 300]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hwsearch: error: cannot go on: File name too long (aaa")
    assert said.count("\n") == 1
    (tmp_path / "closed").mkdir(mode=0)
    unable = "--bounding-set=-dac_override,-dac_read_search"
    before = () if os.geteuid() else ("setpriv", unable, unable.replace("bounding-set", "inh-caps"))
    if before and not shutil.which("setpriv"):
        pytest.skip("root may look at everything, and setpriv is not installed")
    done = run_apart(f"predict --table {tmp_path}/closed/table.jsonl --subnet max", *before)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"Permission denied ({tmp_path}/closed/table.jsonl)" in done.stderr


def test_output_that_cannot_be_written_is_told_once():
    with Path("/dev/full").open("w") as full:
        done = run_apart("devices list", stdout=full)
    assert done.returncode == 2
    assert done.stderr == "hwsearch: error: cannot go on: No space left on device.\n"


@pytest.mark.parametrize("words", ["devices list", "predict --help"])
def test_letters_that_the_terminal_lacks_stop_nothing(words):
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = run_apart(words, env=ascii_only, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.isascii()


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("profile", "the same command goes on"),
        ("train", "the same command goes on, with --resume"),
        ("learn cells", "the same command goes on, with --resume"),
        ("deploy", "the same command begins anew"),
    ],
)
def test_an_interrupted_command_says_how_to_go_on(name, after, capsys, monkeypatch):
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{VERBS[name].module}.{VERBS[name].function}", interrupted)
    assert main(shlex.split(VERBS[name].example)[1:]) == 130
    assert capsys.readouterr().err == f"hwsearch: stopped; {after}\n"


@pytest.mark.parametrize("words", ["--help", "devices list", "profile --help"])
def test_looking_around_loads_nothing_heavy(words):
    assert modules_after(words) == set()


def test_predicting_and_reading_tables_load_no_torch(tmp_path):
    table = SyntheticDevice().table(12, 3, folder=tmp_path)
    table.path.parent.mkdir()
    table.write()
    for words in (f"predict --subnet max --table {table.path}", f"table show {table.path}"):
        assert "torch" not in modules_after(words)
