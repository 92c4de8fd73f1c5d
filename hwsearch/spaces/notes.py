"""What a catalogue's `catalogue.toml` says of its models that their files do not."""

import tomllib
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path

import msgspec

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.layers import MEAN, STD

NOTES_NAME = "catalogue.toml"

Channels = tuple[float, float, float]
"""One number each for red, green and blue."""


@dataclass(frozen=True)
class Notes:
    """What a section of `catalogue.toml` says of one model.

    Attributes:
        mean: Subtracted from pixels scaled to 0 to 1, for red, green and blue.
        std: Divides the result.
        output: Name of the output that is the embedding; needed where there are several.
        weights: Where the weights are from; "random" if they were never trained.
    """

    mean: Channels = (MEAN, MEAN, MEAN)
    std: Channels = (STD, STD, STD)
    output: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        """Refuses what cannot normalise pixels."""
        if not all(map(isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError("mean and std must be finite, and std above 0")


def read_notes(path: Path, names: tuple[str, ...]) -> dict[str, Notes]:
    """Reads `catalogue.toml`, if there is one, by name of the model."""
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise HwsearchError(f"this is no TOML: {cause}", where=path) from cause
    return {name: _read_section(path, name, sections[name], names) for name in sections}


def _read_section(path: Path, name: str, section: object, names: tuple[str, ...]) -> Notes:
    if name not in names:
        raise unknown_name(f"model in {path}", name, names)
    known = tuple(entry.name for entry in fields(Notes))
    for key in section if isinstance(section, dict) else ():
        if key not in known:
            raise unknown_name(f"key of '{name}' in {path}", key, known)
    try:
        return msgspec.convert(section, Notes)
    except msgspec.ValidationError as cause:
        raise HwsearchError(
            f"cannot use the section '{name}': {cause}",
            where=path,
            fix='Write mean = [0.485, 0.456, 0.406], std likewise and above 0, output = "NAME"',
        ) from cause
