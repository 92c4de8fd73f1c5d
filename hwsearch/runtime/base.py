"""What every inference runtime offers: build an engine, load it, run it, time it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from hwsearch.errors import HwsearchError, unknown_name

Feed = Mapping[str, np.ndarray]
Form = Literal["onnx", "program"]
"""What a runtime builds engines from."""

HEAD_PREFIX = "head/"
"""Begins the names of ONNX nodes that were appended to a network: they compute in float32."""

WARMUP_SECONDS = 0.2
"""A graphics processor raises its clocks this long before its times mean anything."""


@dataclass(frozen=True)
class Portable:
    """The files that a static network was exported to, its batch fixed.

    Attributes:
        onnx: The checked ONNX file.
        program: The exported torch program, in the numbers that it computes in.
    """

    onnx: Path | None = None
    program: Path | None = None

    def file(self, form: Form) -> Path:
        """Returns the file of a form.

        Raises:
            HwsearchError: If the network was not exported to it.
        """
        path, other = (self.onnx, self.program) if form == "onnx" else (self.program, self.onnx)
        if path is None:
            raise HwsearchError(
                f"this is no {FORMS[form]}, which the runtime builds engines from",
                where=other,
                fix="Use another --runtime; ready models are ONNX files",
            )
        return path


FORMS: Mapping[Form, str] = {"onnx": "ONNX file", "program": "exported program"}
"""What the forms are called."""


@dataclass(frozen=True)
class BuildOptions:
    """How an engine is built.

    Attributes:
        precision: Numbers that the engine computes in.
        cache: Folder in which a runtime may keep what makes the next build faster.
    """

    precision: str = "fp32"
    cache: Path | None = None


@dataclass(frozen=True)
class LoadOptions:
    """How an engine is loaded.

    Attributes:
        threads: CPU threads of one call.
        precision: Numbers that the engine must compute in.
        shared_pool: Whether all engines of this process take turns on one pool of threads, so
            that none that rests can spin while another is timed; all need the same `threads`.
        batch: Images a call that an engine is timed with which takes any number.
    """

    threads: int = 1
    precision: str = "fp32"
    shared_pool: bool = False
    batch: int = 1


@dataclass(frozen=True)
class TensorSpec:
    """One input of an engine.

    Attributes:
        name: As in the ONNX file.
        shape: Sizes, batch first.
        dtype: NumPy's name of the element type.
        any_batch: Whether the first size may be any other, too.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    any_batch: bool = False

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Tells whether an array of that shape may be given."""
        if self.any_batch and shape and shape[0]:
            return shape[1:] == self.shape[1:]
        return shape == self.shape


class Engine(Protocol):
    """A loaded engine.

    Attributes:
        provider: What really computes, as the runtime itself says.
        input_specs: Inputs in order.
    """

    provider: str
    input_specs: tuple[TensorSpec, ...]

    def run(self, feed: Feed) -> dict[str, np.ndarray]:
        """Computes all outputs, by name."""
        ...

    def window(self, feed: Feed, seconds: float) -> np.ndarray:
        """Calls the engine for that long with resident inputs; raw seconds of each call."""
        ...


class Runtime(Protocol):
    """One inference runtime.

    Attributes:
        name: Registered name.
        version: Version of the installed package.
        precisions: Numbers that its engines can compute in.
        takes: What it builds engines from.
        slow_build: Whether one build takes seconds of one core, so that several should run at
            once, each in a process of its own.
    """

    name: str
    precisions: tuple[str, ...]
    takes: Form
    slow_build: bool

    @property
    def version(self) -> str: ...  # noqa: D102

    def build(self, model: Portable, out: Path, options: BuildOptions) -> Path:
        """Makes an engine in the folder `out` and returns its main file.

        Raises:
            HwsearchError: If the model cannot be read or the precision is not offered.
        """
        ...

    def load(self, engine: Path, options: LoadOptions) -> AbstractContextManager[Engine]:
        """Loads an engine's main file until the context ends.

        Raises:
            HwsearchError: If the file is missing or is no engine of this runtime, or if
                something else than asked for would run.
        """
        ...

    def files(self, engine: Path) -> tuple[Path, ...]:
        """Returns every file that the engine consists of, the main file first."""
        ...


def check_precision(runtime: Runtime, precision: str) -> None:
    """Refuses a precision that a runtime does not offer."""
    if precision not in runtime.precisions:
        raise unknown_name(f"precision of {runtime.name}", precision, runtime.precisions)


@contextmanager
def readable(path: Path, runtime: Runtime, kind: str) -> Iterator[None]:
    """Turns whatever a runtime raises while it reads a file into one clear error.

    Args:
        path: The file that is read inside the context.
        runtime: The reader.
        kind: What the file should be, such as "engine".
    """
    if not path.is_file():
        raise HwsearchError(f"there is no {kind} here", where=path, fix="Build it first")
    try:
        yield
    except HwsearchError:
        raise
    except Exception as cause:
        reason = str(cause).strip().splitlines()
        raise HwsearchError(
            f"{runtime.name} cannot read this {kind}: {reason[-1] if reason else cause!r}",
            where=path,
            fix=f"Build it again with {runtime.name} {runtime.version}",
        ) from cause


def fixed_shape(name: str, sizes: tuple[int | str | None, ...], path: Path) -> tuple[int, ...]:
    """Returns the shape of an input, whose sizes must all be numbers."""
    fixed = tuple(size for size in sizes if isinstance(size, int) and size > 0)
    if len(fixed) != len(sizes):
        raise HwsearchError(
            f"input '{name}' has no fixed shape: {list(sizes)}",
            where=path,
            fix="Export it with fixed sizes; only the batch may be free, which --batch sets",
        )
    return fixed


def input_spec(
    name: str, sizes: Sequence[int | str | None], dtype: str, path: Path, batch: int
) -> TensorSpec:
    """Describes an input whose sizes are numbers, but for the first perhaps.

    Args:
        name: Of the input.
        sizes: Text or nothing stands for a size that is not fixed.
        dtype: NumPy's name of the element type.
        path: The engine, for the message.
        batch: What a first size that is not fixed is taken for.

    Raises:
        HwsearchError: If another size is not fixed.
    """
    any_batch = len(sizes) > 1 and not isinstance(sizes[0], int)
    first = (batch, *sizes[1:]) if any_batch else tuple(sizes)
    return TensorSpec(name, fixed_shape(name, first, path), dtype, any_batch)


def check_feed(specs: tuple[TensorSpec, ...], feed: Feed) -> None:
    """Refuses a feed whose names or shapes are not the engine's."""
    wanted = {spec.name: spec.shape for spec in specs}
    given = {name: tuple(array.shape) for name, array in feed.items()}
    if given.keys() != wanted.keys() or not all(spec.takes(given[spec.name]) for spec in specs):
        raise HwsearchError(
            f"the engine takes {wanted}, not {given}", fix="Use the batch and size it was built for"
        )


def timed_calls(call: Callable[[], object], seconds: float) -> np.ndarray:
    """Calls again and again until the time is over; returns the seconds of each call, float[n]."""
    clock, times = time.perf_counter, []
    stop = clock()
    end = stop + seconds
    while stop < end or not times:
        start = clock()
        call()
        stop = clock()
        times.append(stop - start)
    return np.array(times)
