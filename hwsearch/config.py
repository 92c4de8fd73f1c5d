"""The `config.toml` of a run: its options, which `--config` reads again, and its versions."""

import json
import platform
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from hwsearch.journal import write_atomic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def write_config(
    path: Path, options: "DataclassInstance", packages: tuple[str, ...], *, machine: str = ""
) -> None:
    """Writes every option that has a value, and as comments what else decides the result.

    Args:
        path: The file; its folder is created.
        options: Fields are strings, paths, numbers, booleans, tuples of them, or None.
        packages: Packages whose versions matter.
        machine: What computes, if it matters.
    """
    found = {"python": platform.python_version()}
    found |= {name: _version(name) for name in ("hwsearch", *packages)}
    lines = ["# " + ", ".join(f"{name} {number}" for name, number in found.items())]
    lines += [f"# {machine}"] if machine else []
    for field in fields(options):
        value = getattr(options, field.name)
        if value is not None and value != ():
            lines.append(f"{field.name} = {_toml(value)}")
    write_atomic(path, "\n".join(lines) + "\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _toml(value: object) -> str:
    """Writes one value; JSON's strings, numbers and lists are TOML's too."""
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")
