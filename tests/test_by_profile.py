"""What the profile of a named device gives to the commands that measure."""

import re
from pathlib import Path

import pytest

from hwsearch.arguments import parse_options
from hwsearch.cli import main
from hwsearch.kit.jobs import JOBS, PROGRAM, JobList
from hwsearch.latency.rows import table_name
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.pack import KitOptions

EXAMPLES = Path(__file__).parents[1] / "examples"
ORIN = "jetson-agx-orin-64gb"
SHORT = "--budget-minutes 0.005 --evidence 1 --heldout 0"


def read(kind: type, words: str) -> KitOptions | ProfileOptions:
    return parse_options(kind, words.split(), prog="hwsearch", summary="", example="")


def test_a_known_device_gives_what_no_flag_does(capsys):
    for kind, rest in ((KitOptions, "--out x"), (ProfileOptions, "--host user@board")):
        options = read(kind, f"--space basic-32 --device {ORIN} {rest}")
        assert (options.runtime, options.precision, options.threads) == ("tensorrt", "fp16", 1)
        assert (options.batch, options.budget_minutes, options.max_temperature) == (1, 10, 80)
        said = capsys.readouterr().out
        assert said.count("\n") == 1
        assert f"{ORIN}: --runtime tensorrt --precision fp16 --threads 1" in said


def test_flags_and_config_files_win(tmp_path, capsys):
    config = tmp_path / "options.toml"
    config.write_text("batch = 4")
    words = f"--space basic-32 --device {ORIN} --out x --config {config}"
    options = read(KitOptions, f"{words} --precision int8 --max-temperature 0")
    assert (options.runtime, options.precision, options.batch) == ("tensorrt", "int8", 4)
    assert options.max_temperature == 0
    said = capsys.readouterr().out
    assert "--runtime tensorrt" in said
    assert not any(flag in said for flag in ("--precision", "--batch", "--max-temperature"))


def test_another_runtime_gets_its_own_precision_and_threads():
    options = read(KitOptions, f"--space basic-32 --device {ORIN} --out x --runtime onnxruntime")
    assert (options.precision, options.threads, options.max_temperature) == ("fp32", 0, 80)


def test_a_device_with_a_name_of_its_own_gives_nothing(capsys):
    words = "--space basic-32 --runtime onnxruntime --device board --out x"
    assert read(KitOptions, words).threads == 0
    assert not capsys.readouterr().out


def test_a_kit_for_a_known_device_carries_its_defaults(tmp_path: Path, capsys):
    words = f"kit --space basic-32 --device raspberry-pi-5-8gb {SHORT} --out {tmp_path}"
    assert main(words.split()) == 0
    jobs = JobList.read(tmp_path / JOBS)
    assert (jobs.header["device"], jobs.header["runtime"]) == ("raspberry-pi-5-8gb", "onnxruntime")
    assert (jobs.header["precision"], jobs.threads, jobs.max_celsius) == ("fp32", 4, 75)
    text = (tmp_path / "README.txt").read_text()
    assert "in degrees Celsius (else 75)" in text
    assert "performance: echo performance | sudo tee" in text
    assert "pip install onnxruntime, on a 64-bit system" in text
    identity = jobs.identity
    assert main([*words.split(), "--max-temperature", "60"]) == 0
    again = JobList.read(tmp_path / JOBS)
    assert (again.max_celsius, again.identity) == (60, identity)
    assert (tmp_path / PROGRAM).is_file()


def test_the_examples_name_tables_that_their_kits_make():
    made = set()
    for kind, name in ((KitOptions, "kit-jetson"), (ProfileOptions, "profile-host")):
        one = read(kind, f"--config {EXAMPLES / name}.toml")
        how = {"batch": one.batch, "threads": one.threads}
        made.add(f"{one.device}/{table_name(one.space, one.runtime, one.precision, **how)}")
    text = "\n".join(path.read_text() for path in EXAMPLES.glob("*.toml"))
    assert set(re.findall(r"[\w-]+/[\w-]+-b\d+-t\d+", text)) == made


@pytest.mark.parametrize("name", ["my-board/x", "../x", "-x", "ä", "x" * 101])
def test_a_name_that_no_table_could_have_is_refused_before_measuring(name, capsys):
    words = f"kit --space basic-32 --runtime onnxruntime --device={name} --out x"
    assert main(words.split()) == 2
    assert "is no name of a device. Use at most 100 letters" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["kit", "profile"])
def test_a_temperature_below_zero_is_refused(verb, capsys):
    words = f"{verb} --space basic-32 --runtime onnxruntime --max-temperature=-1 --out x"
    assert main(words.split()) == 2
    assert "--max-temperature must not be below 0" in capsys.readouterr().err
