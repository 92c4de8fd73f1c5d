"""The command line: verbs, each an options dataclass and the function that takes it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

from hwsearch.arguments import options_of, parse_options
from hwsearch.errors import HwsearchError, unknown_name


@dataclass(frozen=True)
class Verb:
    """One command, known by name only until it is used.

    Attributes:
        group: Heading in the help.
        module: Where the options and the function live.
        options: Name of the options dataclass.
        function: Name of the function that takes the options.
        summary: One line of help.
        example: A command that works.
        positional: Options that may be given without their flag, in order.
    """

    group: str
    module: str
    options: str
    function: str
    summary: str
    example: str
    positional: tuple[str, ...] = ()

    def options_class(self) -> type:
        """Imports the options dataclass."""
        return getattr(import_module(self.module), self.options)

    def run(self) -> Callable[[Any], object]:
        """Imports the function that does the job."""
        return getattr(import_module(self.module), self.function)


VERBS = {
    "quickstart": Verb(
        group="start here",
        module="hwsearch.quickstart",
        options="QuickstartOptions",
        function="quickstart",
        summary="The whole story on real images, in minutes: train, profile, search, deploy.",
        example="hwsearch quickstart --out quickstart",
    ),
    "devices": Verb(
        group="profile a device",
        module="hwsearch.profiling.devices",
        options="DevicesOptions",
        function="devices",
        summary="List the known devices, show one, or detect this machine.",
        example="hwsearch devices detect",
        positional=("action", "name"),
    ),
    "profile": Verb(
        group="profile a device",
        module="hwsearch.profiling.profile",
        options="ProfileOptions",
        function="profile",
        summary="Measure blocks and networks of a space on this machine into a latency table.",
        example="hwsearch profile --space bottleneck-32 --runtime onnxruntime --threads 2",
    ),
    "table": Verb(
        group="profile a device",
        module="hwsearch.latency.show",
        options="TableOptions",
        function="show_table",
        summary="Show what a latency table holds, check how good it is, or compare two.",
        example="hwsearch table check bottleneck-32-onnxruntime-fp32-b1-t2",
        positional=("action", "table", "other"),
    ),
    "predict": Verb(
        group="profile a device",
        module="hwsearch.latency.predict",
        options="PredictOptions",
        function="predict",
        summary="Predict the latency of networks from a table, with an interval.",
        example="hwsearch predict --table bottleneck-32-onnxruntime-fp32-b1-t2 --subnet max",
    ),
    "train": Verb(
        group="train",
        module="hwsearch.train",
        options="TrainOptions",
        function="train",
        summary="Train a supernet on unlabelled images.",
        example="hwsearch train --data photos --space bottleneck-32 --out runs/photos",
    ),
    "search": Verb(
        group="search and choose",
        module="hwsearch.search.run",
        options="SearchOptions",
        function="search",
        summary="Find the best networks for one or many devices: distance against latency.",
        example=(
            "hwsearch search --checkpoint runs/photos --images photos --out searches/photos "
            "--tables bottleneck-32-onnxruntime-fp32-b1-t2"
        ),
    ),
    "report": Verb(
        group="search and choose",
        module="hwsearch.report.run",
        options="ReportOptions",
        function="report",
        summary="Draw the fronts of a search.",
        example="hwsearch report searches/photos",
        positional=("directory",),
    ),
    "deploy": Verb(
        group="deploy",
        module="hwsearch.deploy.run",
        options="DeployOptions",
        function="deploy",
        summary="Turn a chosen network into a verified engine with a manifest.",
        example=(
            "hwsearch deploy searches/photos --pick knee --out engines/photos "
            "--table bottleneck-32-onnxruntime-fp32-b1-t2"
        ),
        positional=("search",),
    ),
    "probe": Verb(
        group="research",
        module="hwsearch.evaluate.probe",
        options="ProbeOptions",
        function="probe",
        summary="Judge features by the labels of their nearest neighbours.",
        example=(
            "hwsearch probe --engine engines/photos --train labelled/train --test labelled/test"
        ),
    ),
}


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        words: The command line without the program's name; the process's own by default.

    Returns:
        The exit status: 0, 2 for a user's mistake, 130 when interrupted.
    """
    words = sys.argv[1:] if words is None else words
    try:
        return _main(list(words))
    except HwsearchError as error:
        print(f"hwsearch: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _main(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"hwsearch {version('hwsearch')}")
        return 0
    name, *rest = words
    if name not in VERBS:
        raise unknown_name("command", name, VERBS)
    return _run(name, VERBS[name], rest)


def _run(name: str, verb: Verb, words: Sequence[str]) -> int:
    options_class = verb.options_class()
    try:
        options = parse_options(
            options_class,
            words,
            prog=f"hwsearch {name}",
            summary=verb.summary,
            example=verb.example,
            positional=verb.positional,
        )
        verb.run()(options)
    except KeyboardInterrupt:
        resume = any(option.name == "resume" for option in options_of(options_class))
        again = "the same command with --resume" if resume else "the same command"
        print(f"hwsearch: stopped; {again} goes on from here", file=sys.stderr)
        return 130
    return 0


def overview() -> str:
    """Returns the help of the program: every verb in its group."""
    lines = ["usage: hwsearch COMMAND [options]", "", "Deployment search on measured hardware.", ""]
    group = None
    for name, verb in VERBS.items():
        if verb.group != group:
            lines += [f"{verb.group}:"] if group is None else ["", f"{verb.group}:"]
            group = verb.group
        lines.append(f"  {name:<11} {verb.summary}")
    lines += ["", "examples:", *(f"  {VERBS[name].example}" for name in ("quickstart", "devices"))]
    lines += ["", "hwsearch COMMAND --help shows every option and an example."]
    lines += ["Every command takes --config FILE.toml; hwsearch --version prints the version."]
    return "\n".join(lines)
