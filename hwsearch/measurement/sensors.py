"""What the machine says about itself while it is measured: read, never changed."""

from pathlib import Path

_THROTTLES = "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"


def throttle_count(root: Path = Path("/")) -> int:
    """Returns how often the cores have throttled since start-up; 0 where nothing tells.

    Args:
        root: Where /sys is; tests show it other machines.
    """
    total = 0
    for path in root.glob(_THROTTLES):
        try:
            total += int(path.read_text())
        except (OSError, ValueError):
            continue
    return total
