"""Engines that take long to build: several at once, each in a process of its own."""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path

from hwsearch.device import usable_cores
from hwsearch.kit.engines import Built, Engines


def build_at_once(
    engines: Engines, files: Mapping[str, Path], advance: Callable[..., None]
) -> dict[str, Built]:
    """Builds what is not there yet on all cores; what is finished is kept if this is stopped.

    Args:
        engines: Where engines are kept.
        files: What to build from, by any name.
        advance: Called once for every name.

    Returns:
        Engines by the names given.
    """
    found = {path: engines.find_file(path) for path in files.values()}
    built = {path: engine for path, engine in found.items() if engine}
    names = {path: [name for name in files if files[name] == path] for path in found}
    advance(sum(len(names[path]) for path in built))
    missing = [path for path in found if path not in built]
    workers = max(1, min(usable_cores(), len(missing)))
    with ProcessPoolExecutor(workers, get_context("spawn"), _prepare) as pool:
        waiting = {pool.submit(engines.build_file, path): path for path in missing}
        try:
            for done in as_completed(waiting):
                built[waiting[done]] = done.result()
                advance(len(names[waiting[done]]))
        finally:
            pool.shutdown(cancel_futures=True)
    return {name: built[path] for name, path in files.items()}


def _prepare() -> None:
    """Ends this process with its parent, and keeps compilers from starting more of them."""
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    end_with_parent()


def end_with_parent() -> None:
    """Ends this process when the one that started it ends, however that happens."""
    threading.Thread(target=_wait_and_exit, daemon=True).start()


def _wait_and_exit() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
