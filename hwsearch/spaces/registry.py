"""The register of spaces: names to builders, each built once when first asked for.

A name may end in input sides: "basic-224@160" takes images of 160 pixels, and
"basic-224@160+192+224" makes the side a dimension to choose. After that it may name one network:
"basic-32[min]" and "basic-32[depth1=2,depth2=1]" hold that network alone. Last may come precisions:
"basic-32~int8+fp32" has each network in both. "basic-32^4" has 4 groups of channels in each stage
that paths choose from.
"""

import os
import runpy
from collections.abc import Callable
from functools import cache
from pathlib import Path

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.space import Space
from hwsearch.spaces.only import only
from hwsearch.spaces.paths import with_paths
from hwsearch.spaces.precisions import with_precisions
from hwsearch.spaces.resolution import elastic_side

OWN_FAMILIES = "HWSEARCH_SPACES"
"""Environment variable that names Python files which register families of one's own."""

Builder = Callable[[str, int], Space]
"""From the space's name and the side of its input image in pixels."""

_BUILDERS: dict[str, tuple[Builder, int]] = {}
_SCHEMES: dict[str, Callable[[str], Space]] = {}


def register_space(name: str, *, side: int) -> Callable[[Builder], Builder]:
    """Registers the builder of a space under its name.

    Args:
        name: What users write.
        side: Input side in pixels, unless the user names others after "@".

    Raises:
        HwsearchError: If another space has that name.
    """

    def keep(builder: Builder) -> Builder:
        if name in _BUILDERS:
            raise HwsearchError(f"there are two spaces '{name}'", fix="Give your own another name")
        _BUILDERS[name] = (builder, side)
        return builder

    return keep


def register_scheme(
    prefix: str,
) -> Callable[[Callable[[str], Space]], Callable[[str], Space]]:
    """Registers who opens the spaces whose names start with a prefix and a colon."""

    def keep(opener: Callable[[str], Space]) -> Callable[[str], Space]:
        _SCHEMES[prefix] = opener
        return opener

    return keep


def path_of(text: str) -> Path:
    """Returns the absolute path that a space's name holds.

    Links are kept: files that moved can be linked under the name that their tables know.
    """
    return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - resolve() follows links


def space_names() -> tuple[str, ...]:
    """Returns the names of all registered spaces."""
    _load_own_families()
    return tuple(sorted(_BUILDERS))


@cache
def get_space(name: str) -> Space:
    """Returns a space by name.

    Raises:
        HwsearchError: If no space has that name, its networks cannot take the side, or the
            network in brackets is not in it.
    """
    whole, tilde, precisions = name.rpartition("~")
    if tilde and ":" not in whole:
        return with_precisions(get_space(whole), precisions.split("+"))
    if name.endswith("]"):
        whole, _, network = name[:-1].partition("[")
        return only(get_space(whole), network, name)
    prefix, colon, _ = name.partition(":")
    whole, hat, groups = name.rpartition("^")
    if hat and not colon:
        if not groups.isdecimal():
            raise HwsearchError(
                f"cannot read the groups of space '{name}'", fix="Write a number, as in basic-32^4"
            )
        return with_paths(get_space(whole), int(groups), name)
    if colon and prefix in _SCHEMES:
        return _SCHEMES[prefix](name)
    family, at, text = name.partition("@")
    if family not in space_names():
        schemes = (f"{scheme}:…" for scheme in sorted(_SCHEMES))
        error = unknown_name("space", family, (*space_names(), *schemes))
        own = f"your own come from the files that {OWN_FAMILIES} names"
        raise HwsearchError(error.what, fix=f"{error.fix}; {own}")
    builder, side = _BUILDERS[family]
    sides = _sides(name, text) if at else (side,)
    if len(sides) == 1:
        return builder(name, sides[0])
    return elastic_side(name, sides, lambda side: builder(name, side))


def _sides(name: str, text: str) -> tuple[int, ...]:
    words = text.split("+")
    if not all(word.isdecimal() and int(word) for word in words):
        raise HwsearchError(
            f"cannot read the input sides of space '{name}'",
            fix="Write pixels after @, such as basic-224@192 or basic-224@160+192+224",
        )
    return tuple(sorted(set(map(int, words))))


@cache
def _load_own_families() -> None:
    for text in filter(None, os.environ.get(OWN_FAMILIES, "").split(os.pathsep)):
        if not Path(text).is_file():
            raise HwsearchError(
                "there is no such file", where=text, fix=f"Correct the variable {OWN_FAMILIES}"
            )
        runpy.run_path(text, run_name=Path(text).stem)
