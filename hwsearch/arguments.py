"""From a dataclass of options to flags, help and a config file, and back to the dataclass."""

import argparse
import ast
import inspect
import textwrap
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from hwsearch.errors import HwsearchError, unknown_name

T = TypeVar("T")
METAVARS = {str: "TEXT", int: "N", float: "X", Path: "PATH"}


@dataclass(frozen=True)
class Option:
    """One field of an options dataclass, seen as a flag.

    Attributes:
        name: The field's name, which is also the key in a config file.
        kind: Type of one value: str, int, float, bool, Path or a Literal.
        many: Whether the field is a tuple of values.
        default: The field's default, or MISSING if it must be given.
        help: The docstring under the field.
    """

    name: str
    kind: Any
    many: bool
    default: object
    help: str

    @property
    def flag(self) -> str:
        """The flag as typed: `--budget-minutes`."""
        return "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """Every value that is allowed, if they can be listed."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def metavar(self) -> str:
        """What stands for the value in help."""
        return "{" + ",".join(self.choices) + "}" if self.choices else METAVARS[self.kind]

    def read(self, text: str) -> object:
        """Turns what the user typed into one value.

        Raises:
            HwsearchError: If it is not of the field's type, or cannot be written down as text.
        """
        try:
            text.encode()
        except UnicodeEncodeError as cause:
            raise HwsearchError(f"{self.flag} takes UTF-8, not {text!a}") from cause
        if "\0" in text:  # only a config file can hold it, and no path may
            raise HwsearchError(f"{self.flag} takes no null characters, as in {text!a}")
        if self.choices and text not in self.choices:
            raise unknown_name(f"value of {self.flag}", text, self.choices)
        try:
            value = text if self.choices else self.kind(text)
        except ValueError as cause:
            noun = {int: "a whole number", float: "a number"}[self.kind]
            raise HwsearchError(f"{self.flag} takes {noun}, not '{text}'") from cause
        if isinstance(value, float) and not isfinite(value):  # a journal could not hold it
            raise HwsearchError(f"{self.flag} takes a finite number, not '{text}'")
        return value

    def describe(self) -> str:
        """Returns the help text with what happens if the flag is left out."""
        if self.default is MISSING:
            return f"{self.help} (needed)"
        if self.default is None or self.default is False or self.default in ((), ""):
            return self.help
        values = self.default if isinstance(self.default, tuple) else (self.default,)
        return f"{self.help} (default: {' '.join(map(str, values))})"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise HwsearchError(message, fix=f"See {self.prog} --help")


def parse_options(
    options_class: type[T],
    words: Sequence[str],
    *,
    prog: str,
    summary: str,
    example: str,
    positional: Sequence[str] = (),
) -> T:
    """Reads command line words (and the config file they name) into an options dataclass.

    A class method `complete` of the dataclass, if there is one, adds to the values that were given.

    Args:
        options_class: A dataclass whose fields have a docstring each.
        words: What was typed after the verb.
        prog: The command up to the verb, for help.
        summary: One line of help.
        example: A command that works, shown at the end of the help.
        positional: Fields that may be given without their flag, in order.

    Raises:
        HwsearchError: If a flag or key is unknown, missing or has a bad value.
    """
    options = options_of(options_class)
    short = [option for name in positional for option in options if option.name == name]
    parser = _parser(options, short, prog=prog, summary=summary, example=example)
    given = _parse(parser, words, short)
    if config := given.pop("config", None):
        given = _parse(parser, _words_of(config, options), ()) | given
    if complete := getattr(options_class, "complete", None):
        given = complete(given)
    needed = [option for option in options if option.default is MISSING]
    if missing := [option.flag for option in needed if option.name not in given]:
        raise HwsearchError(f"{', '.join(missing)} must be given", fix=f"See {prog} --help")
    return options_class(**given)


def options_of(options_class: type) -> tuple[Option, ...]:
    """Lists the fields of an options dataclass as flags."""
    hints, docs = get_type_hints(options_class), field_docs(options_class)
    found = []
    for field in fields(options_class):
        kind, many = _value_type(hints[field.name])
        default = field.default_factory() if callable(field.default_factory) else field.default
        found.append(Option(field.name, kind, many, default, docs[field.name]))
    return tuple(found)


def _value_type(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401 - typing has no type for types
    """Splits a field's type into the type of one value and whether there are many."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def field_docs(owner: type) -> dict[str, str]:
    """Reads the docstring under each field of a class, which Python itself does not keep."""
    docs: dict[str, str] = {}
    for base in reversed([base for base in owner.__mro__ if is_dataclass(base)]):
        docs |= _own_field_docs(base)
    return docs


def _own_field_docs(owner: type) -> dict[str, str]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)
    docs = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            assert isinstance(field.target, ast.Name)
            docs[field.target.id] = inspect.cleandoc(ast.literal_eval(below.value))
    return docs


def _parser(
    options: Sequence[Option], short: Sequence[Option], *, prog: str, summary: str, example: str
) -> argparse.ArgumentParser:
    names = (option.name.upper() for option in short)
    parser = _Parser(
        prog=prog,
        usage=" ".join([prog, *(f"[{name}]" for name in names), "[options]"]),
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for option in options:
        text = option.describe().replace("%", "%%")
        if option.kind is bool:
            parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            many: dict[str, Any] = {"nargs": "+", "action": "extend"} if option.many else {}
            parser.add_argument(
                option.flag, type=option.read, metavar=option.metavar, help=text, **many
            )
    parser.add_argument(
        "--config", type=Path, metavar="FILE.toml", help="Options in a file; flags override it."
    )
    return parser


def _parse(
    parser: argparse.ArgumentParser, words: Sequence[str], short: Sequence[Option]
) -> dict[str, Any]:
    """Returns the values given by the words, by field; bare words go to `short` in order."""
    given, bare = parser.parse_known_args(words)
    if unknown := next((word for word in bare if word.startswith("-")), None):
        flags = [flag for action in parser._actions for flag in action.option_strings]
        raise unknown_name("option", unknown.split("=")[0], flags)
    if len(bare) > len(short):
        raise HwsearchError(
            f"unexpected argument '{bare[len(short)]}'", fix=f"See {parser.prog} --help"
        )
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in vars(given).items()}
    return values | {
        option.name: option.read(word) for option, word in zip(short, bare, strict=False)
    }


def _words_of(config: Path, options: Sequence[Option]) -> list[str]:
    """Returns the flags that a config file stands for.

    Raises:
        HwsearchError: If the file cannot be read or has an unknown key.
    """
    try:
        values = tomllib.loads(config.read_text())
    except FileNotFoundError as cause:
        raise HwsearchError("the config file does not exist", where=config) from cause
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise HwsearchError(f"cannot read the config file: {cause}", where=config) from cause
    flags, words = {option.name: option.flag for option in options}, []
    for key, value in values.items():
        if key not in flags:
            raise unknown_name(f"key in {config}", key, flags)
        flag = flags[key]
        if isinstance(value, dict):
            raise HwsearchError(f"{key} is a table", where=config, fix=f"Write {key} = value")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        else:
            words.append(f"{flag}={value}")
    return words
