"""Where each sample lies in a tar shard, found once and kept in the cache folder.

Nothing is ever extracted by name, so a hostile member name reaches no path on this machine.
"""

import contextlib
import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwsearch.data.sources.decode import IMAGE_SUFFIXES
from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic

_INDEX_VERSION = 1
"""1: arrays keys, offsets, sizes, labels in an .npz file."""

_MAX_RATIO = 200
"""A shard that unpacks to more than this many times its size is taken for hostile."""

_MAX_LABEL = 1_000_000


@dataclass(frozen=True)
class ShardIndex:
    """The samples of one plain tar file.

    Attributes:
        keys: Names of the samples without their endings, str[N].
        offsets: First byte of each image in the tar file, int64[N].
        sizes: Bytes of each image, int64[N].
        labels: Class of each image, -1 without one, int32[N].
    """

    keys: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray


def cache_folder() -> Path:
    """Returns the folder for files that can be made again: $XDG_CACHE_HOME/hwsearch."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwsearch"


def _cached(file: Path, suffix: str) -> Path:
    """Returns the cache path that belongs to this content of a file."""
    state = file.stat()
    text = f"{file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\0{_INDEX_VERSION}"
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return cache_folder() / "shards" / f"{name}{suffix}"


def plain_tar(shard: Path) -> Path:
    """Returns the shard itself if it is plain, else its copy unpacked once into the cache.

    Raises:
        HwsearchError: If the compression is damaged or suspicious, or the cache not writable.
    """
    if shard.name.lower().endswith(".tar"):
        return shard
    target = _cached(shard, ".tar")
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as out:
            try:
                _gunzip(shard, out)
                out.flush()
                os.fsync(out.fileno())
                Path(out.name).replace(target)
            except BaseException:
                Path(out.name).unlink()
                raise
    except (gzip.BadGzipFile, EOFError, zlib.error) as cause:
        raise _bad_tar(shard, cause) from cause
    except OSError as cause:
        raise HwsearchError(
            f"cannot unpack the shard: {cause}", where=shard, fix="Set XDG_CACHE_HOME elsewhere"
        ) from cause
    return target


def _gunzip(shard: Path, out: io.BufferedIOBase | tempfile._TemporaryFileWrapper) -> None:
    allowed = _MAX_RATIO * shard.stat().st_size
    with gzip.open(shard) as packed:
        while piece := packed.read(1 << 20):
            allowed -= len(piece)
            if allowed < 0:
                raise HwsearchError(
                    f"the shard unpacks to more than {_MAX_RATIO} times its size",
                    where=shard,
                    fix="Unpack it with gunzip if you trust it",
                )
            out.write(piece)


def _bad_tar(shard: Path, cause: Exception | str) -> HwsearchError:
    return HwsearchError(f"not a readable tar file: {cause}", where=shard, fix="Fetch it again")


def index_of(tar: Path, *, shown_as: Path) -> ShardIndex:
    """Returns the index of a plain tar file, from the cache if it is known there.

    Args:
        tar: The plain tar file.
        shown_as: The file to name in an error.

    Raises:
        HwsearchError: If it is not a tar file, is truncated, or a `.cls` is not an integer.
    """
    cached = _cached(tar, ".npz")
    try:
        with np.load(cached, allow_pickle=False) as arrays:
            return ShardIndex(*(arrays[name] for name in ("keys", "offsets", "sizes", "labels")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        index = _build_index(tar, shown_as)
    buffer = io.BytesIO()
    np.savez(buffer, keys=index.keys, offsets=index.offsets, sizes=index.sizes, labels=index.labels)
    # A read-only or full cache only costs time: the index is made again the next time.
    with contextlib.suppress(OSError, HwsearchError):
        write_atomic(cached, buffer.getvalue())
    return index


def _build_index(tar: Path, shown_as: Path) -> ShardIndex:
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    end = tar.stat().st_size
    try:
        with tarfile.open(tar, "r:") as members:
            for member in members:
                # A sparse member's bytes do not lie in one run, so it has no single offset.
                if not member.isreg() or member.sparse is not None:
                    continue
                if member.size < 0 or member.offset_data + member.size > end:
                    raise _bad_tar(shown_as, f"truncated in '{member.name}'")
                key, suffix = _split(member.name)
                if suffix in IMAGE_SUFFIXES:
                    images.setdefault(key, (member.offset_data, member.size))
                elif suffix == ".cls":
                    labels[key] = _read_label(members, member, shown_as)
    except (tarfile.TarError, EOFError, OSError) as cause:
        raise _bad_tar(shown_as, cause) from cause
    places = np.array(list(images.values()), dtype=np.int64).reshape(-1, 2)
    return ShardIndex(
        keys=np.array(list(images), dtype=np.str_),
        offsets=places[:, 0].copy(),
        sizes=places[:, 1].copy(),
        labels=np.array([labels.get(key, -1) for key in images], dtype=np.int32),
    )


def _split(name: str) -> tuple[str, str]:
    """Splits a member's name at the first dot of its last part, the ending in lower case."""
    folder, slash, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return folder + slash + stem, (dot + suffix).lower()


def _read_label(members: tarfile.TarFile, member: tarfile.TarInfo, shown_as: Path) -> int:
    file = members.extractfile(member)
    assert file is not None, "only regular members are read"
    text = file.read(32).decode(errors="replace").strip()
    if not text.isdecimal() or int(text) > _MAX_LABEL:
        raise HwsearchError(
            f"class of '{member.name}' is not an integer from 0 to {_MAX_LABEL}: '{text}'",
            where=shown_as,
            fix="Write the class index in ASCII",
        )
    return int(text)
