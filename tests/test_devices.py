"""The verb devices."""

import pytest

from hwsearch.arguments import parse_options
from hwsearch.device_profile import detected, read_profile
from hwsearch.errors import HwsearchError
from hwsearch.profiling.devices import DevicesOptions, devices
from hwsearch.profiling.pack import KitOptions


def test_the_list_has_this_machine_and_counts_tables(tmp_path, capsys):
    folder = tmp_path / "nvidia-t4"
    folder.mkdir()
    (folder / "some.jsonl").write_text("")
    found = devices(DevicesOptions(tables_dir=tmp_path))
    names = [profile.name for profile in found]
    assert names[0] == detected().name
    assert len(set(names)) == len(names) > 6
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    counts = {cells[1]: cells[-2] for cells in rows if len(cells) > 2}
    assert counts["nvidia-t4"] == "1"
    assert counts["raspberry-pi-5-8gb"] == "none"


def test_show_prints_all_of_a_profile_and_says_that_nothing_was_measured(capsys):
    (profile,) = devices(DevicesOptions("show", "jetson-agx-orin-64gb"))
    said = capsys.readouterr().out
    assert "No latency table was measured" in said
    for mode in profile.power_modes:
        assert f"{mode.name}: {mode.command}" in said
    for setup in profile.runtimes:
        assert f"{setup.name}: {', '.join(setup.precisions)}" in said
        assert all(step in said for step in setup.install)


def test_show_gives_a_command_to_paste(capsys):
    devices(DevicesOptions("show", "jetson-agx-orin-64gb"))
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if line.strip().startswith("hwsearch kit"))
    options = parse_options(
        KitOptions, line.split()[2:], prog="hwsearch kit", summary="", example=""
    )
    assert (options.runtime, options.precision) == ("tensorrt", "fp16")


def test_show_names_the_nearest_known_devices():
    with pytest.raises(HwsearchError, match="Did you mean raspberry-pi-5-8gb"):
        devices(DevicesOptions("show", "raspberry-pi-5"))


def test_detect_saves_a_profile_that_can_be_read(tmp_path):
    (profile,) = devices(DevicesOptions("detect", out=tmp_path))
    path = tmp_path / f"{profile.name}.toml"
    assert read_profile(path) == profile == detected()
    devices(DevicesOptions("detect", out=tmp_path))
    edited = path.read_text().replace("Detected", "Edited")
    path.write_text(edited)
    with pytest.raises(HwsearchError, match="another profile is here"):
        devices(DevicesOptions("detect", out=tmp_path))
    assert path.read_text() == edited


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"action": "show"}, "no device was named"),
        ({"action": "detect", "name": "x"}, "hwsearch devices show x"),
        ({"action": "list", "out": "x"}, "--out is for"),
    ],
)
def test_options_that_do_not_fit_are_refused(words, message):
    with pytest.raises(HwsearchError, match=message):
        DevicesOptions(**words)
