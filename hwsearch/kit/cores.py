"""Which cores of a machine are measured: the fast ones where they are not all alike."""

from collections.abc import Iterable
from pathlib import Path

_SPEEDS = ("cpufreq/cpuinfo_max_freq", "cpu_capacity")
"""Files that tell how fast a core is; larger is faster."""


def cores_to_measure(threads: int, allowed: Iterable[int], root: Path = Path("/")) -> list[int]:
    """Returns as many cores as threads.

    The fastest are taken, of two threads of one core only one while there are others, and of cores
    that are alike the last: the first serves interrupts.

    Args:
        threads: How many.
        allowed: Numbers of the cores that may be used, as Linux counts them.
        root: Where /sys is; tests show it other machines.
    """
    folders = {cpu: root / f"sys/devices/system/cpu/cpu{cpu}" for cpu in sorted(allowed)}
    last = {_core_of(folder) or str(cpu): cpu for cpu, folder in folders.items()}
    alone = set(last.values())
    order = sorted(folders, key=lambda cpu: (_speed(folders[cpu]), cpu in alone, cpu))
    return order[-threads:]


def _core_of(folder: Path) -> str:
    """Returns the physical core that a core is a thread of, empty if nothing tells."""
    names = ("physical_package_id", "core_id")
    return " ".join(filter(None, (_text(folder / "topology" / name) for name in names)))


def _speed(folder: Path) -> int:
    texts = [_text(folder / name) for name in _SPEEDS]
    return next((int(text) for text in texts if text.isdecimal()), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
