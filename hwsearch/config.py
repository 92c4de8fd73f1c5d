"""The `config.toml` of a run: its options, which `--config` reads again, and its versions."""

import json
import platform
import tomllib
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_ELSEWHERE = "Use another --out"


def write_config(
    path: Path, options: "DataclassInstance", packages: tuple[str, ...], *, machine: str = ""
) -> None:
    """Writes every option that has a value, and as a comment what else decides the result.

    Args:
        path: The file; its folder is created.
        options: Fields are strings, paths, numbers, booleans, tuples of them, or None.
        packages: Packages whose versions matter.
        machine: What computes, if it matters.
    """
    lines = [f"# {_circumstances(packages, machine)}"]
    for field in fields(options):
        value = getattr(options, field.name)
        if value is not None and value != ():
            lines.append(f"{field.name} = {_toml(value)}")
    write_atomic(path, "\n".join(lines) + "\n")


def check_config(path: Path, options: "DataclassInstance") -> None:
    """Refuses a file that is not of such options, before anything is written beside it.

    Args:
        path: A file of `write_config`, whatever has its name, or nothing.
        options: What is to be written.

    Raises:
        HwsearchError: If it has a key that is none of their fields, or cannot be read.
    """
    try:
        keys = set(tomllib.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        what = f"cannot read the config file: {cause}"
        raise HwsearchError(what, where=path, fix=_ELSEWHERE) from cause
    if foreign := sorted(keys - {field.name for field in fields(options)}):
        what = f"this is the config file of another command: {', '.join(foreign)}"
        raise HwsearchError(what, where=path, fix=_ELSEWHERE)


def note_change(path: Path, packages: tuple[str, ...], *, machine: str, step: int) -> None:
    """Adds a comment if a run goes on with other versions or elsewhere than it last did.

    Args:
        path: A file of `write_config`.
        packages: Packages whose versions matter.
        machine: What computes.
        step: Where the run goes on.
    """
    if not path.exists():  # the run does not need it
        return
    text, now = path.read_text(), _circumstances(packages, machine)
    notes = [line for line in text.splitlines() if line.startswith("# ")]
    if not notes or not notes[-1].endswith(now):
        write_atomic(path, f"{text}# from step {step} on: {now}\n")


def _circumstances(packages: tuple[str, ...], machine: str) -> str:
    found = {"python": platform.python_version()}
    found |= {name: _version(name) for name in ("hwsearch", *packages)}
    versions = ", ".join(f"{name} {number}" for name, number in found.items())
    return f"{versions}, on {machine}" if machine else versions


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _toml(value: object) -> str:
    """Writes one value; JSON's strings, numbers and lists are TOML's too."""
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")
