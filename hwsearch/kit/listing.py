"""The JSON file in a folder that travels: it says what is to be done, and names the other files."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of, write_atomic
from hwsearch.measurement import REFERENCES

T = TypeVar("T")

_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Kind:
    """A kind of folder that travels.

    Attributes:
        form: Name of the format of its list.
        schema: Version of that.
        what: What the folder is called.
        list_name: What the list is called.
        verb: What makes the folder.
    """

    form: str
    schema: int
    what: str
    list_name: str
    verb: str

    def write(self, path: Path, values: Mapping[str, Any]) -> None:
        """Writes a list as JSON."""
        content = {"format": self.form, "schema": self.schema, **values}
        write_atomic(path, json.dumps(content, indent=1) + "\n")

    def read(self, path: Path, build: Callable[[dict[str, Any]], T]) -> T:
        """Reads a list.

        Args:
            path: The file.
            build: Turns its values into what they are of; may raise ValueError, KeyError, TypeError
                or AttributeError.

        Raises:
            HwsearchError: If there is none, or it is damaged or of another version.
        """
        again = f"Copy the {self.what} again"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("format") != self.form:
                raise ValueError
            if values.pop("schema") != self.schema:
                raise HwsearchError(
                    f"the {self.what} is of another version",
                    where=path,
                    fix=f"Make it again: {self.verb}",
                )
            return build(values)
        except FileNotFoundError as cause:
            raise HwsearchError(f"there is no {self.what} here", where=path, fix=again) from cause
        except _DAMAGED as cause:
            raise HwsearchError(
                f"the {self.list_name} is damaged", where=path, fix=again
            ) from cause


def with_references(references: tuple[str, str], jobs: Mapping[str, str]) -> dict[str, str]:
    """Returns the file of each job, the small and the large reference's as "reference NAME"."""
    pairs = zip(REFERENCES, references, strict=True)
    return {f"reference {name}": file for name, file in pairs} | dict(jobs)


def damaged_files(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the files of a folder that are missing or not what they should be.

    Args:
        folder: Where they are.
        files: Their hashes, by name.
    """
    return tuple(
        name
        for name, digest in sorted(files.items())
        if not (path := folder / name).is_file() or sha256_of(path) != digest
    )


def require_files(folder: Path, files: Mapping[str, str], what: str) -> None:
    """Refuses a folder whose files are missing or not what they should be.

    Args:
        folder: Where they are.
        files: Their hashes, by name.
        what: What the folder belongs to, for the message.
    """
    if damaged := damaged_files(folder, files):
        raise HwsearchError(
            f"{len(damaged)} files are missing or damaged, such as {damaged[0]}",
            where=folder,
            fix=f"Copy the {what} again",
        )
