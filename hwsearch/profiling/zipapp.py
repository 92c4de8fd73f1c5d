"""The program of a folder that travels: the package's own modules in one file that Python runs."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import hwsearch
from hwsearch.journal import write_atomic

TRAVELS = (
    *("__init__", "device", "errors", "journal", "output", "plain"),
    *("kit", "measurement", "runtime"),
)
"""Modules and packages that need the standard library, NumPy and a runtime only."""

_SHEBANG = b"#!/usr/bin/env python3\n"
_START = """\
import sys

if sys.version_info < (3, 10):
    sys.exit("{name}: error: this Python is older than 3.10")
if sys.platform == "win32":
    sys.exit("{name}: error: Windows is not supported")
try:
    import numpy
except ImportError:
    sys.exit("{name}: error: NumPy is not installed. Run: pip install numpy")

from runpy import run_module

CHILD = sys.argv[1:2] and sys.argv[1].startswith("hwsearch.")
run_module(sys.argv.pop(1) if CHILD else "{module}", run_name="__main__", alter_sys=True)
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first date a zip file can hold: the same content must be the same file."""


def write_program(path: Path, module: str) -> None:
    """Writes the program; the same modules give the same bytes.

    Args:
        path: The file, whose name ends in .pyz.
        module: What it runs, one of those that travel.
    """
    data = io.BytesIO()
    data.write(_SHEBANG)
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", _START.format(name=path.stem, module=module).encode())
        for source in travelling_files():
            name = source.relative_to(_package().parent).as_posix()
            _add(archive, name, source.read_bytes())
    write_atomic(path, data.getvalue())


def travelling_files() -> Iterator[Path]:
    """Yields the source files of what travels, in a fixed order."""
    for name in TRAVELS:
        path = _package() / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def _package() -> Path:
    return Path(hwsearch.__file__).parent


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
