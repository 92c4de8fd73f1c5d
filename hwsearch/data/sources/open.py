"""From what a user writes for SRC to a source."""

import glob
from collections.abc import Callable
from pathlib import Path

from hwsearch.data.sources.base import Source
from hwsearch.data.sources.digits import DigitsSource
from hwsearch.data.sources.folder import FolderSource, image_paths
from hwsearch.data.sources.shards import SHARD_SUFFIXES, ShardSource
from hwsearch.errors import HwsearchError, unknown_name

_BUILT_IN: dict[str, Callable[[], Source]] = {"sklearn:digits": DigitsSource}


def open_source(src: str | Path) -> Source:
    """Opens a folder of images, WebDataset tar shards, or a built-in set.

    Args:
        src: A folder of images (sub-folders are classes) or of shards, one shard, a glob of
            shards (`.tar`, `.tar.gz`, `.tgz`), or "sklearn:digits".

    Raises:
        HwsearchError: If there is nothing there, no image in it, or a folder has both images and
            shards.
    """
    text = str(src)
    if text.startswith("sklearn:"):
        if text not in _BUILT_IN:
            raise unknown_name("image source", text, _BUILT_IN)
        return _BUILT_IN[text]()
    path = Path(text).expanduser()
    if path.is_dir():
        return _open_folder(text, path)
    if path.is_file():
        return ShardSource(text, [path])
    if glob.has_magic(text):
        return _open_glob(text, path)
    raise HwsearchError(
        "no such folder or file of images",
        where=text,
        fix="Give a folder of images, a quoted glob of .tar or .tar.gz shards, or sklearn:digits",
    )


def _open_folder(text: str, path: Path) -> Source:
    shards = sorted(file for file in path.iterdir() if _is_shard(file))
    if not shards:
        return FolderSource(path)
    if image := next(image_paths(path), None):
        raise HwsearchError(
            f"the folder holds images, such as {image}, and shards, such as {shards[0].name}",
            where=text,
            fix=f"For the shards give '{path}/*{shards[0].suffix}'; else move them elsewhere",
        )
    return ShardSource(text, shards)


def _open_glob(text: str, path: Path) -> Source:
    files = sorted(Path(file) for file in glob.glob(str(path)))  # noqa: PTH207  # may be absolute
    if not files:
        raise HwsearchError("no file matches the pattern", where=text, fix="Check the path")
    return ShardSource(text, files)


def _is_shard(file: Path) -> bool:
    return file.name.lower().endswith(SHARD_SUFFIXES) and not file.name.startswith(".")
