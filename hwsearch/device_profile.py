"""Device profiles: what a device is, how it is set up, and how it is measured by default."""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from hwsearch.device import TIERS, Device, detect, fingerprint
from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.folders import data_folders

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_PARTS: Mapping[str, Any] = {"runtimes": [], "power_modes": [], "defaults": {}, "notes": ""}
"""What a file holds beside the fields of the device, and what is meant if it does not."""


@dataclass(frozen=True)
class RuntimeSetup:
    """A runtime that makes sense on a device.

    Attributes:
        name: Name of the runtime.
        precisions: Precisions that make sense there, the one to take by default first.
        install: How to get it there, a step each; empty if that is not known.
    """

    name: str
    precisions: tuple[str, ...]
    install: tuple[str, ...] = ()


@dataclass(frozen=True)
class PowerMode:
    """A way to run a device; hwsearch never changes it.

    Attributes:
        name: As the device's own tool calls it.
        command: What sets it.
        notes: What it means.
    """

    name: str
    command: str
    notes: str = ""

    @property
    def text(self) -> str:
        """All of it in a line."""
        notes = f" ({self.notes})" if self.notes else ""
        return f"{self.name}: {self.command}{notes}"


@dataclass(frozen=True)
class ProfilingDefaults:
    """How a device is measured unless flags say otherwise.

    Attributes:
        runtime: Name of the runtime.
        precision: Numbers that the engines compute in.
        threads: CPU threads a call; 0 means all cores, at most 4.
        batch: Images a call.
        budget_minutes: Most time inside the measuring process.
        max_temperature: Rest while the device is hotter, in degrees Celsius; 0 means never.
    """

    runtime: str
    precision: str
    threads: int = 0
    batch: int = 1
    budget_minutes: float = 5.0
    max_temperature: float = 0.0


@dataclass(frozen=True)
class DeviceProfile:
    """A device and how to use it.

    Attributes:
        device: What it is.
        runtimes: Runtimes that make sense on it.
        power_modes: Ways to run it.
        defaults: How it is measured.
        notes: Facts worth knowing, in a sentence.
    """

    device: Device
    runtimes: tuple[RuntimeSetup, ...]
    power_modes: tuple[PowerMode, ...]
    defaults: ProfilingDefaults
    notes: str = ""

    @property
    def name(self) -> str:
        """The device's name."""
        return self.device.name

    def setup(self, runtime: str) -> RuntimeSetup | None:
        """Returns how a runtime is set up on the device, if that makes sense."""
        return next((setup for setup in self.runtimes if setup.name == runtime), None)

    def to_toml(self) -> str:
        """Writes the profile as TOML."""
        parts = [f"{_lines(self.device)}notes = {_toml(self.notes)}\n"]
        parts.append(f"[defaults]\n{_lines(self.defaults)}")
        parts += [f"[[runtimes]]\n{_lines(setup)}" for setup in self.runtimes]
        parts += [f"[[power_modes]]\n{_lines(mode)}" for mode in self.power_modes]
        return "\n".join(parts)


def _lines(values: Any) -> str:  # noqa: ANN401 - any of the dataclasses above
    return "".join(
        f"{field.name} = {_toml(getattr(values, field.name))}\n" for field in fields(values)
    )


def _toml(value: str | float | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def detected() -> DeviceProfile:
    """Describes the machine that this runs on; its defaults are what runs everywhere."""
    device = detect()
    bf16 = ("bf16",) if "bf16" in fingerprint()["isa"] else ()
    card = (RuntimeSetup("tensorrt", ("fp16", "int8", "fp32")),) if device.accelerator else ()
    return DeviceProfile(
        device=device,
        runtimes=(
            RuntimeSetup("onnxruntime", ("fp32", "int8"), ("pip install onnxruntime",)),
            RuntimeSetup("openvino", ("fp32", *bf16, "int8"), ("pip install openvino",)),
            *card,
        ),
        power_modes=(),
        defaults=ProfilingDefaults("onnxruntime", "fp32"),
        notes="Detected on the machine itself",
    )


def read_profile(path: Path) -> DeviceProfile:
    """Reads one profile.

    Raises:
        HwsearchError: If the file cannot be read, is no TOML, lacks a field or has an unknown or
            ill-typed one.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise HwsearchError("the device profile is no TOML", where=path, fix=str(cause)) from cause
    except OSError as cause:
        raise HwsearchError(
            f"cannot read the device profile: {cause.strerror}", where=path
        ) from cause
    parts = {name: values.pop(name, empty) for name, empty in _PARTS.items()}
    profile = DeviceProfile(
        device=_read(Device, values, path),
        runtimes=_read_all(RuntimeSetup, parts["runtimes"], path),
        power_modes=_read_all(PowerMode, parts["power_modes"], path),
        defaults=_read(ProfilingDefaults, parts["defaults"], path),
        notes=_value(str, "notes", parts["notes"], path),
    )
    _check(profile, path)
    return profile


def _read_all(kind: type[T], values: Any, path: Path) -> tuple[T, ...]:  # noqa: ANN401
    if type(values) is not list:
        raise HwsearchError(f"{kind.__name__} is no list of tables", where=path, fix="Write [[]]")
    return tuple(_read(kind, value, path) for value in values)


def _read(kind: type[T], values: Any, path: Path) -> T:  # noqa: ANN401
    """Reads a dataclass out of a TOML table, and nothing else."""
    if type(values) is not dict:
        raise HwsearchError(f"{kind.__name__} is no table", where=path)
    known = {field.name: field for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    read = {}
    for name, value in values.items():
        if name not in known:
            others = _PARTS if kind is Device else ()
            raise unknown_name(f"field in {path.name}:", name, [*known, *others])
        read[name] = _value(known[name].type, name, value, path)
    missing = [n for n, field in known.items() if field.default is MISSING and n not in read]
    if missing:
        raise HwsearchError(f"the device profile lacks {', '.join(missing)}", where=path)
    return kind(**read)


def _value(expected: Any, name: str, value: Any, path: Path) -> Any:  # noqa: ANN401
    if get_origin(expected) is tuple:
        (item, _) = get_args(expected)
        if type(value) is list and all(type(one) is item for one in value):
            return tuple(value)
        raise HwsearchError(f"{name} is no list of {item.__name__}", where=path)
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        raise HwsearchError(f"{name} is no {expected.__name__}", where=path)
    return value


def require_device_name(text: str, where: Path | None = None) -> None:
    """Refuses what cannot name a device, and the folder of its tables.

    Args:
        text: The name.
        where: The file that it stands in, if any.
    """
    if not _NAME.fullmatch(text):
        raise HwsearchError(
            f"{text[:99]!a} is no name of a device",
            where=where,
            fix="Use at most 100 letters, digits, dots, hyphens and underscores",
        )


def _check(profile: DeviceProfile, path: Path) -> None:
    require_device_name(profile.name, path)
    if profile.device.tier not in TIERS:
        raise unknown_name(f"tier in {path.name}:", profile.device.tier, TIERS)
    setups = {setup.name: setup.precisions for setup in profile.runtimes}
    for name, precisions in setups.items():
        if not precisions:
            raise HwsearchError(f"the runtime {name} has no precisions", where=path)
    wanted = profile.defaults
    for name, sound in (
        ("threads", wanted.threads >= 0),
        ("batch", wanted.batch > 0),
        ("budget_minutes", 0 < wanted.budget_minutes < math.inf),
        ("max_temperature", 0 <= wanted.max_temperature < math.inf),
    ):
        if not sound:
            raise HwsearchError(f"{name} cannot be {getattr(wanted, name)}", where=path)
    if wanted.runtime not in setups:
        raise unknown_name(f"default runtime in {path.name}:", wanted.runtime, setups)
    if wanted.precision not in (known := setups[wanted.runtime]):
        raise unknown_name(f"default precision in {path.name}:", wanted.precision, known)


def load_profiles() -> tuple[DeviceProfile, ...]:
    """Reads every known profile, sorted by name; the nearest file of a name wins."""
    found: dict[str, DeviceProfile] = {}
    for folder in data_folders("device_profiles"):
        for path in sorted(folder.glob("*.toml")):
            profile = read_profile(path)
            found.setdefault(profile.name, profile)
    return tuple(found[name] for name in sorted(found))


def find_profile(name: str) -> DeviceProfile | None:
    """Returns the profile of that name, or None: a device may have a name of its own."""
    return next((profile for profile in load_profiles() if profile.name == name), None)


def get_profile(name: str) -> DeviceProfile:
    """Returns the profile of that name.

    Raises:
        HwsearchError: If there is none; names the nearest known ones.
    """
    if found := find_profile(name):
        return found
    raise unknown_name("device", name, [profile.name for profile in load_profiles()])
