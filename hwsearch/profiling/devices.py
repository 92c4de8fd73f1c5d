"""The verb devices: the known ones, one of them, or the machine at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table as Grid

from hwsearch.device_profile import DeviceProfile, detected, get_profile, load_profiles
from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.latency.table import table_folders
from hwsearch.profiling.by_profile import as_flags
from hwsearch.progress import console, say


@dataclass(frozen=True)
class DevicesOptions:
    """Which devices to look at."""

    action: Literal["list", "show", "detect"] = "list"
    """List the known devices, show one profile, or write the profile of this machine."""
    name: str = ""
    """The device that show is to show."""
    out: Path | None = None
    """File or folder where detect saves the profile; the screen by default."""
    tables_dir: Path | None = None
    """Folder to look for latency tables in first."""

    def __post_init__(self) -> None:
        if self.action == "show" and not self.name:
            known = ", ".join(profile.name for profile in load_profiles())
            raise HwsearchError("no device was named", fix=f"Known: {known}")
        if self.action != "show" and self.name:
            raise HwsearchError(
                f"devices {self.action} takes no name",
                fix=f"Write hwsearch devices show {self.name}",
            )
        if self.out and self.action != "detect":
            raise HwsearchError("--out is for hwsearch devices detect")


def devices(options: DevicesOptions) -> tuple[DeviceProfile, ...]:
    """Does what the options say and prints what it finds.

    Returns:
        The devices that were listed, shown or detected.

    Raises:
        HwsearchError: If the device to show is not known, or a profile is broken.
    """
    match options.action:
        case "list":
            return _list(options.tables_dir)
        case "show":
            return (_show(get_profile(options.name), options.tables_dir),)
        case "detect":
            return (_detect(options.out),)


def tables_of(device: str, tables_dir: Path | None = None) -> tuple[Path, ...]:
    """Returns the latency tables of a device, from every folder that is looked in."""
    return tuple(
        path
        for folder in table_folders(tables_dir)
        for path in sorted((folder / device).glob("*.jsonl"))
    )


def _list(tables_dir: Path | None) -> tuple[DeviceProfile, ...]:
    here = detected()
    found = {profile.name: profile for profile in (here, *load_profiles())}
    grid = Grid(caption=f"This machine is {here.name}.")
    for column in ("device", "tier", "cpu", "accelerator", "memory", "runtimes", "tables"):
        # Names are typed: they are neither cut nor broken.
        grid.add_column(column, no_wrap=column in {"device", "memory", "runtimes"})
    for name, profile in found.items():
        device, tables = profile.device, len(tables_of(name, tables_dir))
        cpu = f"{device.cores} × {device.cpu}" if device.cores else device.cpu
        runtimes = "\n".join(setup.name for setup in profile.runtimes)
        cells = device.accelerator or "-", f"{device.memory_gb} GB", runtimes
        grid.add_row(name, device.tier, cpu, *cells, str(tables or "none"))
    console.print(grid)
    return tuple(found.values())


def _show(profile: DeviceProfile, tables_dir: Path | None) -> DeviceProfile:
    tables = tables_of(profile.name, tables_dir)
    found = [f"table: {path}" for path in tables]
    if not found:
        found = ["No latency table was measured on this device."]
    say("\n".join([*_facts(profile), "", *_recipe(profile), "", *found]))
    return profile


def _facts(profile: DeviceProfile) -> list[str]:
    device = profile.device
    facts = {
        "tier": device.tier,
        "cpu": f"{device.cores or ''} {device.cpu}, {device.architecture}".strip(),
        "accelerator": device.accelerator,
        "memory": f"{device.memory_gb} GB",
        "notes": profile.notes,
    }
    return [device.name, *(f"  {name}: {fact}" for name, fact in facts.items() if fact)]


def _recipe(profile: DeviceProfile) -> list[str]:
    lines = ["runtimes"]
    for setup in profile.runtimes:
        lines.append(f"  {setup.name}: {', '.join(setup.precisions)}")
        lines += [f"    {step}" for step in setup.install]
    if profile.power_modes:
        lines += ["", "power modes (set one before, as the device will be used)"]
    lines += [f"  {mode.text}" for mode in profile.power_modes]
    name, kit = profile.name, "hwsearch kit --space bottleneck-32"
    lines += ["", "measured by default with", f"  {as_flags(profile.defaults)}"]
    lines += ["", "a kit for it, and all at once where ssh reaches it"]
    lines += [f"  {kit} --device {name} --out kits/{name}"]
    return [*lines, f"  hwsearch profile --space bottleneck-32 --device {name} --host user@board"]


def _detect(out: Path | None) -> DeviceProfile:
    profile = detected()
    if out is None:
        console.print(profile.to_toml(), markup=False, end="")
        return profile
    path = out if out.suffix == ".toml" else out / f"{profile.name}.toml"
    text = profile.to_toml()
    if path.is_file() and path.read_bytes() != text.encode():
        raise HwsearchError("another profile is here", where=path, fix="Name another --out")
    write_atomic(path, text)
    say(f"The profile of this machine is in {path}")
    return profile
