"""What the machine says about itself while it is measured: read, never changed."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_THROTTLES = "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"
_CLOCKS_KHZ = "sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq"
_TEMPERATURES = ("sys/class/thermal/thermal_zone*/temp", "sys/class/hwmon/hwmon*/temp*_input")
_PACKAGES_UJ = "sys/class/powercap/intel-rapl:?/energy_uj"
_RANGE_UJ = "max_energy_range_uj"


@dataclass(frozen=True)
class Readings:
    """What sensors said during one window; None where the machine does not tell.

    Attributes:
        mhz: Mean clock of the cores in megahertz, after the window.
        celsius: Highest temperature in degrees, after the window.
        mj_a_call: Energy of the processor packages in millijoules a call.
    """

    mhz: float | None = None
    celsius: float | None = None
    mj_a_call: float | None = None

    def as_dict(self) -> dict[str, float]:
        """Returns what is known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Readings":
        """Reads what `as_dict` gave from among other values."""
        return cls(values.get("mhz"), values.get("celsius"), values.get("mj_a_call"))


NOTHING_READ = Readings()


class Sensors:
    """Files of Linux that tell clocks, temperatures and energy; whichever there are.

    Args:
        root: Where /sys is; tests show it other machines.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._throttles = _readable(root, _THROTTLES)
        self._clocks = _readable(root, _CLOCKS_KHZ)
        self._temperatures = [path for text in _TEMPERATURES for path in _readable(root, text)]
        self._packages = _readable(root, _PACKAGES_UJ)
        self._ranges_uj = [_number(path.with_name(_RANGE_UJ)) or 0.0 for path in self._packages]

    def throttle_count(self) -> int:
        """Returns how often the cores have throttled since start-up; 0 where nothing tells."""
        return int(sum(_numbers(self._throttles)))

    def energy_uj(self) -> tuple[float, ...]:
        """Returns the energy counter of each processor package in microjoules."""
        return tuple(_numbers(self._packages))

    def readings(self, calls: int, before_uj: tuple[float, ...]) -> Readings:
        """Reads everything after a window.

        Args:
            calls: How many calls the window had.
            before_uj: `energy_uj` before it.
        """
        clocks = list(_numbers(self._clocks))
        celsius = [value / 1000 for value in _numbers(self._temperatures) if value > 0]
        return Readings(
            mhz=round(sum(clocks) / len(clocks) / 1000, 1) if clocks else None,
            celsius=max(celsius) if celsius else None,
            mj_a_call=self._spent_mj(before_uj, calls),
        )

    def _spent_mj(self, before_uj: tuple[float, ...], calls: int) -> float | None:
        after_uj = self.energy_uj()
        if not after_uj or len(after_uj) != len(before_uj):
            return None
        pairs = zip(before_uj, after_uj, self._ranges_uj, strict=True)
        spent = sum(
            after - before + (span if after < before else 0) for before, after, span in pairs
        )
        return float(f"{spent / 1000 / calls:.4g}")


def _readable(root: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(root.glob(pattern)) if _number(path) is not None]


def _numbers(paths: list[Path]) -> Iterator[float]:
    for path in paths:
        value = _number(path)
        if value is not None:
            yield value


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None
