import gzip
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from full_disk import files_limited_to
from PIL import Image

from hwsearch.data.prepare import normalise_array, prepare
from hwsearch.data.sources import CorruptImage, CorruptLog, open_source
from hwsearch.data.sources.decode import decode
from hwsearch.errors import HwsearchError

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(pixels: np.ndarray = PHOTO) -> bytes:
    return encoded(Image.fromarray(pixels), "png")


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    data = buffer.getvalue()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_folder_reads_images_and_labels_from_sub_folders(tmp_path):
    files = ("b/2.png", "a/1.png", "a/.hidden.png", "a/notes.txt", "loose.png", "../else/3.png")
    for name in files:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    (tmp_path / "set/c").symlink_to(tmp_path / "else")
    for name in ("set/a/back", "else/round"):
        (tmp_path / name).symlink_to(tmp_path / "set")
    source = open_source(tmp_path / "set")
    names = [source.sample_name(i) for i in range(len(source))]
    assert names == ["a/1.png", "b/2.png", "c/3.png", "loose.png"]
    assert source.classes == ("a", "b", "c")
    assert [source.label(i) for i in range(4)] == [0, 1, 2, None]
    np.testing.assert_array_equal(source.image(0), PHOTO)
    before = source.fingerprint()
    (tmp_path / "set/a/1.png").write_bytes(png() + b"more")
    assert open_source(tmp_path / "set").fingerprint() != before


def test_shards_plain_and_compressed_are_the_same_source(tmp_path, cache):
    members = {"x/b.png": png(), "x/b.cls": b"3", "x/a.png": png(255 - PHOTO), "x/a.cls": b"0\n"}
    plain = open_source(write_tar(tmp_path / "plain/t-0.tar", members))
    packed = open_source(str(write_tar(tmp_path / "packed/t-0.tar.gz", members).parent / "t-*.gz"))
    for source in (plain, packed, pickle.loads(pickle.dumps(packed))):
        assert [source.label(i) for i in range(len(source))] == [3, 0]
        assert source.classes == ("0", "1", "2", "3")
        np.testing.assert_array_equal(source.image(1), 255 - PHOTO)
    assert plain.fingerprint() == packed.fingerprint()
    assert plain.sample_name(0) == "t-0.tar/x/b"
    kept = {file: file.stat().st_mtime_ns for file in cache.rglob("*") if file.is_file()}
    (tmp_path / "packed" / "README.md").write_text("what these are")
    again = open_source(tmp_path / "packed")
    np.testing.assert_array_equal(again.image(1), 255 - PHOTO)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    for file in cache.rglob("*.npz"):
        file.write_bytes(b"damaged")
    assert len(open_source(tmp_path / "plain")) == 2


def test_names_that_are_no_utf8_are_read_and_told(tmp_path):
    name = os.fsdecode(b"\xe9t\xe9/caf\xe9.png")
    file = tmp_path / "set" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(png())
    folder, shard = open_source(tmp_path / "set"), write_tar(tmp_path / "t.tar", {name: png()})
    for source, told in (
        (folder, r"\xe9t\xe9/caf\xe9.png"),
        (open_source(shard), r"t.tar/\xe9t\xe9/caf\xe9"),
        (open_source(shard), r"t.tar/\xe9t\xe9/caf\xe9"),  # from the index that was kept
    ):
        assert source.sample_name(0) == told
        np.testing.assert_array_equal(source.image(0), PHOTO)
        assert len(source.fingerprint()) == 64
    assert folder.classes == (r"\xe9t\xe9",)


def test_an_index_that_cannot_be_kept_only_costs_time(tmp_path, cache):
    shard = write_tar(tmp_path / "t.tar", {"a.png": png()})
    with files_limited_to(100):
        assert len(open_source(shard)) == 1
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_hostile_member_names_and_links_reach_no_path(tmp_path, cache):
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("../../escape.png", "/etc/escape.png"):
            info = tarfile.TarInfo(name)
            info.size = len(png())
            tar.addfile(info, io.BytesIO(png()))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    source = open_source(path)
    assert len(source) == 2
    np.testing.assert_array_equal(source.image(0), PHOTO)
    assert not list(tmp_path.parent.glob("escape*"))
    assert {file.suffix for file in cache.rglob("*") if file.is_file()} == {".npz"}


def test_a_shard_that_unpacks_without_end_is_refused(tmp_path, cache):
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(bytes(8 << 20)))
    with pytest.raises(HwsearchError, match="more than 200 times its size"):
        open_source(tmp_path / "bomb.tar.gz")
    assert not [file for file in cache.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("content", "source", "message"),
    [
        ({}, "nothing-here", "no such folder"),
        ({"set/readme.txt": b"x"}, "set", "no images in the folder"),
        ({}, "t-*.tar", "no file matches"),
        ({"t.tar": b"not a tar at all"}, "t.tar", "not a readable tar"),
        ({"t.tar.gz": b"not gzip"}, "t.tar.gz", "not a readable tar"),
        ({"t.zip": b"PK"}, "t.zip", "not a tar shard"),
        (
            {"set/old.tar.gz": b"x", "set/notes.txt": b"x", "set/cats/1.jpg": b"x"},
            "set",
            r"images, such as cats/1\.jpg, and shards, such as old\.tar\.gz .*'.*/set/\*\.gz'",
        ),
    ],
)
def test_what_is_no_source_is_told_in_one_line(tmp_path, content, source, message):
    for name, data in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(HwsearchError, match=message) as caught:
        open_source(tmp_path / source)
    assert "\n" not in str(caught.value)


def test_bad_members_are_told(tmp_path):
    with pytest.raises(HwsearchError, match="no images in the shards"):
        open_source(write_tar(tmp_path / "a.tar", {"a.txt": b"x"}))
    with pytest.raises(HwsearchError, match=r"class of 'a.cls' is not an integer.*'cat'"):
        open_source(write_tar(tmp_path / "b.tar", {"a.png": png(), "a.cls": b"cat"}))
    cut = write_tar(tmp_path / "c.tar", {"a.png": png(), "b.png": png()})
    cut.write_bytes(cut.read_bytes()[: 1024 + 512 + 100])
    with pytest.raises(HwsearchError, match="not a readable tar"):
        open_source(cut)
    with pytest.raises(HwsearchError, match=r"Did you mean sklearn:digits"):
        open_source("sklearn:digit")


def test_digits_are_the_real_ones_and_not_enlarged():
    source = open_source("sklearn:digits")
    assert (len(source), source.image(0).shape, source.label(1796)) == (1797, (8, 8, 3), 8)
    assert source.image(0).max() == 239  # level 15 of 16


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16", "1"])
def test_every_mode_becomes_rgb(mode):
    grey = np.linspace(0, 255, 120).astype(np.uint8).reshape(12, 10)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert("RGB")
        image = image.quantize(256) if mode == "P" else image.convert(mode)
    pixels = decode(encoded(image, "tiff" if mode == "CMYK" else "png"), "x")
    assert pixels.shape == (12, 10, 3)
    expected = (grey > 127) * 255 if mode == "1" else grey
    assert mode == "1" or np.abs(pixels[:, :, 1].astype(int) - expected).max() <= 3


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_without_a_known_range_are_refused(kind):
    tiff = encoded(Image.fromarray(PHOTO[:, :, 0].astype(kind)), "tiff")
    with pytest.raises(CorruptImage, match="have no known range"):
        decode(tiff, "x")


def test_jpeg_is_decoded_as_pillow_does():
    pytest.importorskip("simplejpeg")
    smooth = np.linspace(0, 255, 40 * 30 * 3).astype(np.uint8).reshape(40, 30, 3)
    for image in (Image.fromarray(smooth), Image.fromarray(smooth[:, :, 0])):
        data = encoded(image, "jpeg", quality=95)
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        assert np.abs(decode(data, "x") - expected).max() <= 2
    cmyk = encoded(Image.fromarray(smooth).convert("CMYK"), "jpeg")
    assert decode(cmyk, "x").shape == (40, 30, 3)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_damaged_images_are_named(kind):
    whole = encoded(Image.fromarray(PHOTO), kind)
    for data in (b"", b"text", whole[: len(whole) // 2]):
        with pytest.raises(CorruptImage, match=r"'a/7\.jpg'") as caught:
            decode(data, "a/7.jpg")
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_corrupt_images_are_named_counted_and_stop_past_the_share(capsys):
    source = open_source("sklearn:digits")
    log = CorruptLog(source, 0.01)
    for index in [*range(17), 3]:
        log.add(index, "truncated")
    assert log.indices == tuple(range(17))
    told = capsys.readouterr().out
    assert "digit-0004: truncated" in told
    assert "digit-0005" not in told
    with pytest.raises(HwsearchError, match=r"18 of 1797 .*1\.00%: digit-0000.*--max-corrupt-sha"):
        log.add(99, "truncated")


def test_prepare_cuts_the_centre_square_and_scales():
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 6:18] = 200
    np.testing.assert_array_equal(prepare(wide, 4), np.full((4, 4, 3), 200))
    ready = prepare(PHOTO, 6)
    assert prepare(ready, 6) is ready
    assert normalise_array(ready[None]).shape == (1, 3, 6, 6)
    assert normalise_array(np.full((1, 2, 2, 3), 255, np.uint8)).max() == 2.0


@pytest.mark.skipif("HWSEARCH_TEST_DATA" not in os.environ, reason="HWSEARCH_TEST_DATA is not set")
@pytest.mark.parametrize(("name", "classes"), [("omniglot", 50), ("pacs_photo", 7)])
def test_real_shards(name, classes):
    source = open_source(Path(os.environ["HWSEARCH_TEST_DATA"]) / name / "test-*.tar.gz")
    assert len(source.classes) == classes
    for index in range(0, len(source), 50):
        image, label = source.image(index), source.label(index)
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
        assert label is not None
