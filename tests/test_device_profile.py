"""Device profiles: what may stand in them, and that those which ship make sense."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from hwsearch.device import Device
from hwsearch.device_profile import (
    DeviceProfile,
    PowerMode,
    ProfilingDefaults,
    RuntimeSetup,
    detected,
    read_profile,
)
from hwsearch.errors import HwsearchError
from hwsearch.runtime import get_runtime, runtime_names
from hwsearch.runtime.onnxruntime_providers import PROVIDERS

SHIPPED = sorted((Path(__file__).parents[1] / "device_profiles").glob("*.toml"))
PROFILE = DeviceProfile(
    Device("a", "edge", "aarch64", 'a "quoted" cpu', 4, 8, "x"),
    (RuntimeSetup("onnxruntime", ("fp32", "int8"), ("step 1", "step 2")),),
    (PowerMode("slow", "make it slow", "quiet"),),
    ProfilingDefaults("onnxruntime", "int8", 2, 1, 2.5, 70.0),
    notes="\\",
)


@pytest.mark.parametrize("profile", [PROFILE, detected()], ids=["made up", "this machine"])
def test_a_profile_survives_its_file(tmp_path, profile):
    path = tmp_path / "a.toml"
    path.write_text(profile.to_toml())
    assert read_profile(path) == profile


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "no TOML"),
        ('nam = "a"', "Did you mean name"),
        ('name = "a"', "lacks tier"),
        ('cores = "four"', "cores is no int"),
        (PROFILE.to_toml().replace('"a"', '"my board"', 1), "'my board' is no name of a device"),
        (PROFILE.to_toml().replace('"edge"', '"egde"'), "Did you mean edge"),
        (PROFILE.to_toml().replace('["fp32", "int8"]', "[8]"), "precisions is no list of str"),
        (PROFILE.to_toml().replace('["fp32", "int8"]', "[]"), "onnxruntime has no precisions"),
        (PROFILE.to_toml().replace("minutes = 2.5", "minutes = nan"), "minutes cannot be nan"),
        (PROFILE.to_toml().replace("minutes = 2.5", "minutes = inf"), "minutes cannot be inf"),
        (PROFILE.to_toml().replace("threads = 2", "threads = -1"), "threads cannot be -1"),
        (PROFILE.to_toml().replace("[[runtimes]]", "[runtimes]"), "no list of tables"),
        (PROFILE.to_toml().replace('on = "int8"', 'on = "int4"'), "default precision.*int8"),
        (PROFILE.to_toml().replace('me = "onnxruntime"', 'me = "x"', 1), "default runtime .*'x'"),
    ],
)
def test_broken_profiles_are_told_in_one_line(tmp_path, text, message):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(HwsearchError, match=message) as error:
        read_profile(path)
    assert "broken.toml" in str(error.value)


def test_a_folder_is_no_profile(tmp_path):
    with pytest.raises(HwsearchError, match="cannot read the device profile"):
        read_profile(tmp_path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_name_runtimes_and_precisions_that_exist(path):
    profile = read_profile(path)
    assert profile.name == path.stem
    assert len({setup.name for setup in profile.runtimes}) == len(profile.runtimes)
    for setup in profile.runtimes:
        assert setup.name in runtime_names()
        assert set(setup.precisions) <= set(precisions_of(setup.name))
    assert profile.notes
    assert "# source: " in path.read_text()


def precisions_of(runtime: str) -> tuple[str, ...]:
    """Returns what a runtime computes in, even if its device is not here."""
    if runtime in PROVIDERS:
        return PROVIDERS[runtime].precisions
    if runtime.startswith("openvino"):
        devices = pytest.importorskip("hwsearch.runtime.openvino_devices")
        return tuple(devices.DEVICES[runtime].hints)
    if find_spec(runtime.partition("-")[0]):
        return get_runtime(runtime).precisions
    return ("fp32", "fp16", "int8")
