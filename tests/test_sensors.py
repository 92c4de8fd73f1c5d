"""Sensors: what a machine tells of itself, and that it may tell nothing."""

from pathlib import Path

from hwsearch.measurement.sensors import Readings, Sensors


def write(root: Path, name: str, value: float) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(f"{value}\n")


def test_a_machine_without_sensors_says_nothing(tmp_path: Path) -> None:
    sensors = Sensors(tmp_path)
    assert sensors.throttle_count() == 0
    assert sensors.readings(10, sensors.energy_uj()) == Readings()
    assert Readings().as_dict() == {}


def test_sensors_are_read_where_there_are_any(tmp_path: Path) -> None:
    for core, (throttles, khz) in enumerate(((3, 2_400_000), (4, 2_600_000))):
        folder = f"sys/devices/system/cpu/cpu{core}"
        write(tmp_path, f"{folder}/thermal_throttle/core_throttle_count", throttles)
        write(tmp_path, f"{folder}/cpufreq/scaling_cur_freq", khz)
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", 51_500)
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", -274_000)  # a zone that is off
    write(tmp_path, "sys/class/hwmon/hwmon0/temp1_input", 64_000)
    counter = "sys/class/powercap/intel-rapl:0/energy_uj"
    write(tmp_path, counter, 990_000)
    write(tmp_path, "sys/class/powercap/intel-rapl:0/max_energy_range_uj", 1_000_000)
    sensors = Sensors(tmp_path)
    before = sensors.energy_uj()
    write(tmp_path, counter, 30_000)  # it has started again from 0
    assert sensors.throttle_count() == 7
    readings = sensors.readings(10, before)
    assert readings == Readings(mhz=2500, celsius=64, mj_a_call=4)
    assert Readings.from_dict(readings.as_dict()) == readings
