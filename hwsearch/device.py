"""Devices: what a machine is, and what can be told about the one this runs on."""

import math
import os
import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIERS = ("point", "edge", "cloud")
"""Where devices stand: at the sensor, near it, in a data centre."""

_KERNEL_FLAGS = ("avx", "amx", "asimd", "sve", "i8mm", "bf16")
"""How the CPU features begin that decide which kernels a runtime picks, in Linux's words."""

_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}
"""Arm's own part numbers (implementer 0x41)."""

_SERVERS = {
    "6/79": "broadwell",
    "6/85/3": "skylake",
    "6/85/4": "skylake",
    "6/85/5": "cascade-lake",
    "6/85/6": "cascade-lake",
    "6/85/7": "cascade-lake",
    "6/106": "ice-lake",
    "6/143": "sapphire-rapids",
    "6/207": "emerald-rapids",
    "6/173": "granite-rapids",
    "23/1": "naples",
    "23/49": "rome",
    "25/1": "milan",
    "25/17": "genoa",
    "26/2": "turin",
}
"""Code names of server processors by family, model and, where it decides, stepping."""


@dataclass(frozen=True)
class Device:
    """What a device is; never how fast it is.

    Attributes:
        name: Unique and safe in file names; names the folder of its latency tables.
        tier: One of `TIERS`.
        architecture: Instruction set, "x86_64" or "aarch64".
        cpu: Model of the CPU cores.
        cores: CPU cores that a process can use; 0 if the host decides.
        memory_gb: Memory in GiB; in the profile of a card, that of the card.
        accelerator: Name of a GPU or NPU, empty without one.
    """

    name: str
    tier: str
    architecture: str
    cpu: str
    cores: int
    memory_gb: int
    accelerator: str = ""


def detect(root: Path = Path("/")) -> Device:
    """Describes the machine that this runs on.

    Args:
        root: Where /proc and /sys are; tests show it other machines.
    """
    memory = _memory_gb(root)
    board = _board(root)
    accelerator = _accelerator(root, board)
    cpu, cores = _cpu(root), usable_cores(root)
    if board:
        step = 1 << max(0, (memory - 1).bit_length() - 2)  # boards keep some to themselves
        memory = -(-memory // step) * step
        name = f"{slug(board)}-{memory}gb"
    else:
        parts = (slug(cpu), _generation(root), f"{cores}c", accelerator and slug(accelerator))
        name = "-".join(filter(None, parts))[:100].rstrip("-")
    return Device(
        name=name,
        tier=_tier(board, cpu, accelerator),
        architecture=_architecture(),
        cpu=cpu,
        cores=cores,
        memory_gb=memory,
        accelerator=accelerator,
    )


def fingerprint(root: Path = Path("/")) -> dict[str, str]:
    """Returns what must agree before two measurements may be compared.

    Args:
        root: Where /proc and /sys are; tests show it other machines.
    """
    cpuinfo = _cpuinfo(root)
    flags = set((cpuinfo.get("flags") or cpuinfo.get("features", "")).split())
    board = _board(root)
    return {
        "cpu": _cpu(root),
        "cpu_id": _cpu_id(cpuinfo) or _core_kinds(root) or cpuinfo.get("cpu part", ""),
        "cores": str(usable_cores(root)),
        "isa": " ".join(sorted(flag for flag in flags if flag.startswith(_KERNEL_FLAGS))),
        "architecture": _architecture(),
        "board": board,
        "accelerator": _accelerator(root, board),
        "virtual": "yes" if "hypervisor" in flags else "no",
        "os": platform.system(),
        "kernel": platform.release().split(".")[0],
    }


def fingerprint_difference(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names of the fields in which two fingerprints differ."""
    return tuple(
        name for name in sorted({*one, *other}) if one.get(name, "") != other.get(name, "")
    )


def told_difference(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Returns in which fields two fingerprints differ, and how; nothing if they agree.

    Args:
        there: Of another machine, such as the one that a latency table was measured on.
        here: Of this one.
    """
    return "; ".join(
        f"{name}: {there.get(name, '')}, here {here.get(name, '')}"
        for name in fingerprint_difference(there, here)
    )


def slug(text: str) -> str:
    """Shortens a hardware name to lower-case letters, digits and hyphens."""
    text = re.sub(r"\(r\)|\(tm\)|\(c\)", "", text.lower())
    text = re.sub(r"@.*|\bwith .*|\b\d+th gen\b|\b\d+-core\b|\bcpu\b|\bprocessor\b", "", text)
    return "-".join(re.findall(r"[a-z0-9]+", text)) or "unknown"


def usable_cores(root: Path = Path("/")) -> int:
    """Returns how many CPU cores this process may use, after affinity and container limits."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([cores, *_cpu_quotas(root)]))


def _cpu_quotas(root: Path) -> list[int]:
    """Returns the quotas, in cores, of the control groups that this process is in."""
    limits = [_read(folder / "cpu.max").split() for folder in _control_groups(root)]
    first = [
        _read(root / "sys/fs/cgroup/cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")
    ]
    pairs = [pair for pair in (*limits, first) if len(pair) == 2 and all(map(str.isdigit, pair))]
    return [math.ceil(int(quota) / int(period)) for quota, period in pairs]


def _control_groups(root: Path) -> list[Path]:
    """Returns the folders of the control groups that this process is in."""
    base = root / "sys/fs/cgroup"
    lines = _read(root / "proc/self/cgroup").splitlines()
    group = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    return [f for f in (base / group, *(base / group).parents) if f.is_relative_to(base)]


def free_memory(root: Path = Path("/")) -> int | None:
    """Returns the bytes that may still be used, after container limits; None if nobody tells.

    Args:
        root: Where /proc and /sys are; tests show it other machines.
    """
    free = re.search(r"MemAvailable:\s+(\d+) kB", _read(root / "proc/meminfo"))
    found = [int(free[1]) << 10] if free else []
    for folder in _control_groups(root):
        limit, used = _read(folder / "memory.max"), _read(folder / "memory.stat")
        if limit.isdigit() and (taken := re.search(r"^anon (\d+)", used, re.MULTILINE)):
            found.append(max(0, int(limit) - int(taken[1])))
    return min(found, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _output(*command: str) -> str:
    if not shutil.which(command[0]):
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _architecture() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def _cpuinfo(root: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in _read(root / "proc/cpuinfo").splitlines())
    found: dict[str, str] = {}
    for key, _, value in pairs:
        found.setdefault(key.strip().lower(), value.strip())
    return found


def _cpu(root: Path) -> str:
    cpuinfo = _cpuinfo(root)
    model = cpuinfo.get("model name", "")
    if not model and cpuinfo.get("cpu implementer") == "0x41":
        model = _ARM_PARTS.get(cpuinfo.get("cpu part", ""), "")
    if not model and platform.system() == "Darwin":
        model = _output("sysctl", "-n", "machdep.cpu.brand_string")
    return model or platform.processor() or _architecture()


def _cpu_id(cpuinfo: Mapping[str, str]) -> str:
    numbers = [cpuinfo.get(key, "") for key in ("cpu family", "model", "stepping")]
    return "/".join(filter(None, numbers))


def _core_kinds(root: Path) -> str:
    """Tells the kinds of Arm's cores and how many there are of each, if they are not all alike."""
    told = r"CPU implementer\s*: (\w+)(?:\n.+)*?\nCPU part\s*: (\w+)"
    kinds = Counter(re.findall(told, _read(root / "proc/cpuinfo")))
    texts = (f"{count}x{maker}/{part}" for (maker, part), count in sorted(kinds.items()))
    return " ".join(texts) if len(kinds) > 1 else ""


def _generation(root: Path) -> str:
    """Tells apart processors that a virtual machine calls by one name, such as "AMD EPYC"."""
    numbers = _cpu_id(_cpuinfo(root))
    if not numbers or re.search(r"\d", slug(_cpu(root))):
        return ""
    model = numbers.rpartition("/")[0]
    return _SERVERS.get(numbers) or _SERVERS.get(model) or model.replace("/", "-")


def _memory_gb(root: Path) -> int:
    total = re.search(r"MemTotal:\s+(\d+) kB", _read(root / "proc/meminfo"))
    if total:
        return math.ceil(int(total[1]) / 2**20)
    text = _output("sysctl", "-n", "hw.memsize")
    if not text.isdigit():
        query = "(Get-CimInstance Win32_ComputerSystem).TotalPhysicalMemory"
        text = _output("powershell", "-NoProfile", "-Command", query)
    return math.ceil(int(text) / 2**30) if text.isdigit() else 0


def _board(root: Path) -> str:
    """Names boards as they do; known families without revisions and carriers."""
    model = _read(root / "proc/device-tree/model")
    found = re.search(
        r"Raspberry Pi (?:\d\w*|Zero \d?\w*)|Jetson (?:AGX )?\w+(?: Nano| NX)?", model
    )
    virtual = re.fullmatch(r"[^\s,]+,\S+", model)  # such as "linux,dummy-virt"
    return found[0].strip() if found else "" if virtual else model


def _accelerator(root: Path, board: str) -> str:
    if board.startswith("Jetson"):
        return "NVIDIA integrated GPU"
    paths = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    names = re.findall(r"Model:\s*(.+)", "\n".join(map(_read, paths)))
    names = names or _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").split("\n")
    kinds = list(dict.fromkeys(name.strip() for name in names))
    # Which of several computes is known to CUDA alone.
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "") if len(kinds) > 1 else ""
    return " and ".join(kinds) + (f", visible {chosen}" if chosen else "")


def _tier(board: str, cpu: str, accelerator: str) -> str:
    if board.startswith("Raspberry"):
        return "point"
    server = re.search(r"xeon|epyc|neoverse|graviton", cpu, re.IGNORECASE)
    large = re.search(r"tesla|\b[ATLHBV]\d+\b", accelerator)
    return "cloud" if not board and (server or large) else "edge"
