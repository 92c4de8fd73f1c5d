"""The verb devices: the known ones, one of them, or the machine at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table as Grid

from hwsearch.device import Device, detect, get_profile, load_profiles
from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.latency.table import table_folders
from hwsearch.progress import console


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
            known = ", ".join(device.name for device in load_profiles())
            raise HwsearchError("no device was named", fix=f"Known: {known}")
        if self.action != "show" and self.name:
            raise HwsearchError(
                f"devices {self.action} takes no name",
                fix=f"Write hwsearch devices show {self.name}",
            )
        if self.out and self.action != "detect":
            raise HwsearchError("--out is for hwsearch devices detect")


def devices(options: DevicesOptions) -> tuple[Device, ...]:
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


def _list(tables_dir: Path | None) -> tuple[Device, ...]:
    here = detect()
    found = {device.name: device for device in (here, *load_profiles())}
    grid = Grid(caption=f"This machine is {here.name}.")
    grid.add_column("device", no_wrap=True)
    for column in ("tier", "cpu", "accelerator", "memory", "runtimes", "tables measured"):
        grid.add_column(column)
    for device in found.values():
        cpu = f"{device.cores} × {device.cpu}" if device.cores else device.cpu
        tables = len(tables_of(device.name, tables_dir))
        cells = device.accelerator or "-", f"{device.memory_gb} GB", ", ".join(device.runtimes)
        grid.add_row(device.name, device.tier, cpu, *cells, str(tables or "none"))
    console.print(grid)
    return tuple(found.values())


def _show(device: Device, tables_dir: Path | None) -> Device:
    console.print(device.to_toml(), markup=False, end="")
    tables = tables_of(device.name, tables_dir)
    for path in tables:
        console.print(f"table: {path}", markup=False)
    if not tables:
        console.print(
            "No latency table was measured on this device: run hwsearch profile on it.",
        )
    return device


def _detect(out: Path | None) -> Device:
    device = detect()
    if out is None:
        console.print(device.to_toml(), markup=False, end="")
        return device
    path = out if out.suffix == ".toml" else out / f"{device.name}.toml"
    write_atomic(path, device.to_toml())
    console.print(f"The profile of this machine is in {path}", markup=False)
    return device
