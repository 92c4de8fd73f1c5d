"""Where the device profiles and latency tables lie that come with the package or the user."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path


def data_folders(kind: str) -> Iterator[Path]:
    """Yields the folders that may hold "device_profiles" or "latency_tables", nearest first.

    They are the working directory's, the installed wheel's and, for a package that runs from
    a checkout, the one beside the package.
    """
    package = Path(str(resources.files("hwsearch")))
    seen = set()
    for folder in (Path(kind), package / "_data" / kind, package.parent / kind):
        if folder.is_dir() and folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield folder
