"""The checking process: one runtime, and an engine that computes the stored images."""

import sys
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, read_journal, sha256_of
from hwsearch.kit.given import given_row
from hwsearch.kit.order import KIND, CheckOrder, failures
from hwsearch.kit.talk import EngineFailed, answer, note_beside
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import LoadOptions
from hwsearch.runtime.embed import compute


def main(path: Path) -> int:
    """Computes what an order says, and writes the outputs into its journal.

    Args:
        path: The order.

    Returns:
        The exit status, as `answer` gives it.
    """
    return answer(lambda: _check(path))


def _check(path: Path) -> None:
    order = CheckOrder.read(path)
    if order.job in failures(read_journal(order.journal, KIND)[1]):
        return
    runtime = get_runtime(order.runtime)
    with note_beside(path) as note:
        note(order.job)
        try:
            outputs = _outputs(order)
        except HwsearchError as error:
            raise EngineFailed(str(error)) from error
    files = {file.name: sha256_of(file) for file in runtime.files(order.engine)}
    with Journal.open(order.journal, KIND, order.header) as journal:
        journal.append(given_row(files, outputs))


def _outputs(order: CheckOrder) -> dict[str, np.ndarray]:
    options = LoadOptions(threads=order.threads, precision=order.precision)
    inputs_NCHW = np.load(order.inputs, allow_pickle=False)
    with get_runtime(order.runtime).load(order.engine, options) as engine:
        found = compute(
            engine,
            inputs_NCHW,
            input_name=order.input_name,
            outputs=order.outputs,
            batch=order.batch,
        )
    return dict(zip(order.outputs, found, strict=True))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
