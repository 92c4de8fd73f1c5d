"""The building process: one runtime, and engines out of portable files, one after another."""

import sys
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.kit.engines import Engines, NoRoom
from hwsearch.kit.order import KIND, BuildOrder, failures
from hwsearch.kit.talk import EngineFailed, Telling, answer, note_beside


def main(path: Path) -> int:
    """Builds what an order says; progress goes to standard output as JSON lines.

    Args:
        path: The order.

    Returns:
        The exit status, as `answer` gives it.
    """
    return answer(lambda: _build(path))


def _build(path: Path) -> None:
    order = BuildOrder.read(path)
    engines = Engines(order.folder, order.runtime, order.precision)
    telling = Telling(0)
    with Journal.open(order.journal, KIND, order.header) as journal, note_beside(path) as note:
        failed = failures(journal.rows)
        for key, file in order.models.items():
            note(key)
            try:
                if key not in failed:
                    engines.build_file(file)
            except NoRoom:
                raise
            except HwsearchError as error:
                raise EngineFailed(str(error)) from error
            telling.did()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
