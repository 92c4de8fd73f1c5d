"""The command line: finds the verb, parses its options, calls its function."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby

from hwsearch.arguments import parse_options
from hwsearch.errors import HwsearchError, system_error, unknown_name
from hwsearch.output import printing
from hwsearch.verbs import VERBS


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        words: The command line without the program's name; the process's own by default.

    Returns:
        The exit status: 0, 2 for a user's mistake, 130 when interrupted by Ctrl-C. Training that
        a signal stops leaves by SystemExit, with 128 and the signal: 130 or 143 (SIGTERM).
    """
    words = sys.argv[1:] if words is None else words
    try:
        with printing():
            _dispatch(list(words))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        return 0
    except HwsearchError as error:
        return _refuse(error)
    except OSError as cause:
        return _refuse(system_error(cause))
    except KeyboardInterrupt:
        name = _name_of(words)
        after = f"; {VERBS[name].after_stop}" if name in VERBS else ""
        print(f"hwsearch: stopped{after}", file=sys.stderr)
        return 130
    return 0


def _refuse(error: HwsearchError) -> int:
    print(f"hwsearch: error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(overview())
    elif words[0] == "--version":
        print(f"hwsearch {version('hwsearch')}")
    else:
        _run(_name_of(words), words)


def _name_of(words: Sequence[str]) -> str:
    """Returns the verb that a command line begins with; one has two words, as "learn cells"."""
    name = " ".join(words[:2])
    return name if name in VERBS else " ".join(words[:1])


def _run(name: str, words: Sequence[str]) -> None:
    if name not in VERBS:
        raise unknown_name("command", name, VERBS)
    verb, words = VERBS[name], words[len(name.split()) :]
    options = parse_options(
        verb.options_class(),
        words,
        prog=f"hwsearch {name}",
        summary=verb.summary,
        example="\n  ".join((verb.example, *verb.more_examples)),
        positional=verb.positional,
    )
    verb.run()(options)


def overview() -> str:
    """Returns the help of the program: every verb in its group."""
    lines = ["usage: hwsearch COMMAND [options]", "", "Deployment search on measured hardware."]
    for group, verbs in groupby(VERBS.items(), key=lambda item: item[1].group):
        lines += ["", f"{group}:", *(f"  {name:<11} {verb.summary}" for name, verb in verbs)]
    lines += ["", "examples:", *(f"  {VERBS[name].example}" for name in ("quickstart", "devices"))]
    lines += ["", "hwsearch COMMAND --help shows every option and an example."]
    lines += ["Every command takes --config FILE.toml; hwsearch --version prints the version."]
    return "\n".join(lines)
