"""The CUDA calls, against a stub library that counts what is made and destroyed.

The true library is found where HWSEARCH_TENSORRT_WHEELS names a folder with the wheels
nvidia-cuda-runtime-cu12 and nvidia-cuda-runtime; see test_tensorrt_contract.py.
"""

import ctypes
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stub_libraries import compile_cudart

from hwsearch.errors import HwsearchError
from hwsearch.runtime import cudart
from hwsearch.runtime.cudart import Cuda, Gpu, open_cuda

WHEELS = os.environ.get("HWSEARCH_TENSORRT_WHEELS", "")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_cudart(tmp_path_factory.mktemp("cudart"))


@pytest.fixture
def library(compiled: Path) -> Iterator[ctypes.CDLL]:
    loaded = ctypes.CDLL(str(compiled))
    loaded.stub_calls.restype = ctypes.c_char_p
    loaded.stub_forget()
    yield loaded
    loaded.stub_fail(b"")
    assert live(loaded) == [0, 0, 0]


def live(library: ctypes.CDLL) -> list[int]:
    return [library.stub_live(kind) for kind in range(3)]


def test_gpu_is_described(library: ctypes.CDLL):
    assert Cuda(library).gpu() == Gpu("Stub Orin", (8, 7), "12.6", "12.8")


def test_arrays_survive_the_way_to_the_device_and_back(library: ctypes.CDLL):
    cuda, given = Cuda(library), np.arange(12, dtype="float32").reshape(3, 4)
    back = np.empty_like(given)
    with cuda.stream() as stream, cuda.memory(given.nbytes) as address:
        cuda.copy_in(address, given, stream)
        cuda.copy_out(back, address, stream)
        cuda.wait(stream)
    np.testing.assert_array_equal(back, given)
    copies = library.stub_calls().split()
    assert copies.index(b"copy-in") < copies.index(b"copy-out") < len(copies)


def test_time_between_events_is_in_seconds(library: ctypes.CDLL):
    cuda = Cuda(library)
    with cuda.stream() as stream, cuda.event() as start, cuda.event() as stop:
        cuda.record(start, stream)
        cuda.record(stop, stream)
        assert cuda.seconds_between(start, stop) == 0.0005
        assert live(library) == [0, 1, 2]


def test_everything_is_given_back_even_after_an_error(library: ctypes.CDLL):
    cuda = Cuda(library)
    with (
        pytest.raises(ZeroDivisionError),
        cuda.stream(),
        cuda.event(),
        cuda.memory(8),
        cuda.memory(8),
    ):
        assert live(library) == [2, 1, 1]
        raise ZeroDivisionError
    assert live(library) == [0, 0, 0]


@pytest.mark.parametrize(
    "name", ["cudaSetDevice", "cudaMalloc", "cudaStreamSynchronize", "cudaEventElapsedTime"]
)
def test_every_code_becomes_an_error_that_names_the_call(library: ctypes.CDLL, name: str):
    library.stub_fail(name.encode())
    with pytest.raises(HwsearchError, match=rf"{name} failed: an illegal memory .*error 700"):
        use_all(Cuda(library))


def use_all(cuda: Cuda) -> None:
    with cuda.stream() as stream, cuda.event() as event, cuda.memory(4):
        cuda.record(event, stream)
        cuda.wait(stream)
        cuda.seconds_between(event, event)


def test_library_without_a_function_is_refused():
    with pytest.raises(HwsearchError, match=r"CUDA runtime library is unusable: .*cudaSetDevice"):
        Cuda(ctypes.CDLL(None))


def test_missing_library_is_told_with_the_names_looked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cudart, "SONAMES", ("libnone.so.1", "libnone.so.0"))
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(HwsearchError, match=r"no CUDA runtime library .*libnone.so.1, libnone"):
        open_cuda.__wrapped__()


@pytest.mark.parametrize("major", [12, 13])
def test_true_library_has_every_function(tmp_path: Path, major: int):
    name = f"libcudart.so.{major}"
    for wheel in Path(WHEELS).glob("nvidia_cuda_runtime*.whl") if WHEELS else ():
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith(name):
                    use_or_tell(ctypes.CDLL(archive.extract(member, tmp_path)))
                    return
    pytest.skip(f"no wheel in HWSEARCH_TENSORRT_WHEELS ({WHEELS or 'unset'}) has {name}")


def use_or_tell(library: ctypes.CDLL) -> None:
    """Uses the true library, or sees its own reason why it has no GPU."""
    try:
        cuda = Cuda(library)
    except HwsearchError as error:
        assert "cudaSetDevice failed: " in str(error)
        assert "driver" in str(error) or "device" in str(error)
    else:
        use_all(cuda)


def test_library_of_a_package_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "nvidia" / "cu13" / "lib"
    folder.mkdir(parents=True)
    compile_cudart(folder)
    monkeypatch.setattr(cudart, "SONAMES", ("libnone.so.1",))
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert open_cuda.__wrapped__().gpu().name == "Stub Orin"
