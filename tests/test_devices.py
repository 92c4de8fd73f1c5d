"""The verb devices."""

import pytest

from hwsearch.device import detect, read_profile
from hwsearch.errors import HwsearchError
from hwsearch.profiling.devices import DevicesOptions, devices


def test_the_list_has_this_machine_and_counts_tables(tmp_path, capsys):
    folder = tmp_path / "nvidia-t4"
    folder.mkdir()
    (folder / "some.jsonl").write_text("")
    found = devices(DevicesOptions(tables_dir=tmp_path))
    names = [device.name for device in found]
    assert names[0] == detect().name
    assert len(set(names)) == len(names) > 6
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    counts = {cells[1]: cells[-2] for cells in rows if len(cells) > 2}
    assert counts["nvidia-t4"] == "1"
    assert counts["nvidia-h200"] == "none"


def test_show_prints_the_profile_and_says_that_nothing_was_measured(capsys):
    (device,) = devices(DevicesOptions("show", "raspberry-pi-5-8gb"))
    said = capsys.readouterr().out
    assert said.startswith(device.to_toml())
    assert "No latency table was measured" in said
    with pytest.raises(HwsearchError, match="Did you mean raspberry-pi-5-8gb"):
        devices(DevicesOptions("show", "raspberry-pi-5"))


def test_detect_saves_a_profile_that_can_be_read(tmp_path):
    (device,) = devices(DevicesOptions("detect", out=tmp_path))
    assert read_profile(tmp_path / f"{device.name}.toml") == device == detect()


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
