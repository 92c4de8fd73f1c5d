"""Device memory, streams and events of the CUDA runtime library, over ctypes."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from hwsearch.errors import HwsearchError

SONAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so")
"""Names the library is looked up by; one that the process holds already comes first."""

_NON_BLOCKING = 1
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_NAME_BYTES, _PROPERTIES_BYTES = 256, 1 << 14  # the name comes first; the rest grows with CUDA

_HANDLE = POINTER(c_void_p)
_ARGUMENTS = {
    "cudaSetDevice": (c_int,),
    "cudaDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cudaGetDeviceProperties": (c_void_p, c_int),
    "cudaDriverGetVersion": (POINTER(c_int),),
    "cudaRuntimeGetVersion": (POINTER(c_int),),
    "cudaMalloc": (_HANDLE, c_size_t),
    "cudaFree": (c_void_p,),
    "cudaMemcpyAsync": (c_void_p, c_void_p, c_size_t, c_int, c_void_p),
    "cudaStreamCreateWithFlags": (_HANDLE, c_uint),
    "cudaStreamSynchronize": (c_void_p,),
    "cudaStreamDestroy": (c_void_p,),
    "cudaEventCreate": (_HANDLE,),
    "cudaEventRecord": (c_void_p, c_void_p),
    "cudaEventSynchronize": (c_void_p,),
    "cudaEventElapsedTime": (POINTER(c_float), c_void_p, c_void_p),
    "cudaEventDestroy": (c_void_p,),
}


@dataclass(frozen=True)
class Gpu:
    """What must be known of a GPU to tell whether an engine can run on it.

    Attributes:
        name: As the driver tells it, such as "NVIDIA H200".
        compute_capability: Major and minor number.
        driver_cuda: Newest CUDA version that the driver supports, such as "13.0".
        runtime_cuda: Version of the CUDA runtime library.
    """

    name: str
    compute_capability: tuple[int, int]
    driver_cuda: str
    runtime_cuda: str


class Cuda:
    """The first visible GPU (CUDA_VISIBLE_DEVICES chooses which that is).

    Addresses, streams and events are handles: integers that other libraries take as well.

    Args:
        library: A loaded CUDA runtime library.

    Raises:
        HwsearchError: If the library lacks a function, or there is no GPU that it can use.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        try:
            for name, arguments in _ARGUMENTS.items():
                getattr(library, name).argtypes = arguments
            library.cudaGetErrorString.restype = c_char_p
        except AttributeError as cause:
            raise HwsearchError(f"the CUDA runtime library is unusable: {cause}") from cause
        self._library = library
        self._call("cudaSetDevice", 0)

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            reason = self._library.cudaGetErrorString(code).decode(errors="replace")
            raise HwsearchError(
                f"{name} failed: {reason} (CUDA error {code})",
                fix="Check the GPU and its driver with nvidia-smi",
            )

    def _number(self, name: str, *arguments: object) -> int:
        value = c_int()
        self._call(name, byref(value), *arguments)
        return value.value

    def gpu(self) -> Gpu:
        """Describes the GPU."""
        properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
        self._call("cudaGetDeviceProperties", properties, 0)
        major, minor = (
            self._number("cudaDeviceGetAttribute", attribute, 0)
            for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
        )
        driver, runtime = (
            self._number(name) for name in ("cudaDriverGetVersion", "cudaRuntimeGetVersion")
        )
        return Gpu(
            name=properties.raw[:_NAME_BYTES].partition(b"\0")[0].decode(errors="replace"),
            compute_capability=(major, minor),
            driver_cuda=_version(driver),
            runtime_cuda=_version(runtime),
        )

    @contextmanager
    def _made(self, create: str, destroy: str, *arguments: object) -> Iterator[int]:
        handle = c_void_p()
        self._call(create, byref(handle), *arguments)
        try:
            yield handle.value or 0
        finally:
            self._call(destroy, handle)

    @contextmanager
    def memory(self, size_bytes: int) -> Iterator[int]:
        """Allocates device memory until the context ends; yields its address."""
        with self._made("cudaMalloc", "cudaFree", size_bytes) as address:
            yield address

    @contextmanager
    def stream(self) -> Iterator[int]:
        """Makes a stream that waits for no other, until the context ends."""
        made = self._made("cudaStreamCreateWithFlags", "cudaStreamDestroy", _NON_BLOCKING)
        with made as stream:
            yield stream

    @contextmanager
    def event(self) -> Iterator[int]:
        """Makes an event that can be timed, until the context ends."""
        with self._made("cudaEventCreate", "cudaEventDestroy") as event:
            yield event

    def copy_in(self, address: int, array: np.ndarray, stream: int) -> None:
        """Enqueues a copy of a contiguous array, which must live until the stream has done it."""
        data = array.ctypes.data
        self._call("cudaMemcpyAsync", address, data, array.nbytes, _HOST_TO_DEVICE, stream)

    def copy_out(self, array: np.ndarray, address: int, stream: int) -> None:
        """Enqueues a copy into a contiguous array, valid when the stream has done it."""
        data = array.ctypes.data
        self._call("cudaMemcpyAsync", data, address, array.nbytes, _DEVICE_TO_HOST, stream)

    def wait(self, stream: int) -> None:
        """Waits until a stream has done all its work."""
        self._call("cudaStreamSynchronize", stream)

    def record(self, event: int, stream: int) -> None:
        """Enqueues an event."""
        self._call("cudaEventRecord", event, stream)

    def seconds_between(self, start: int, stop: int) -> float:
        """Waits for the event `stop`; returns the GPU's time since the event `start`."""
        self._call("cudaEventSynchronize", stop)
        milliseconds = c_float()
        self._call("cudaEventElapsedTime", byref(milliseconds), start, stop)
        return milliseconds.value / 1e3


@cache
def open_cuda() -> Cuda:
    """Finds the CUDA runtime library and its first GPU, once a process.

    Raises:
        HwsearchError: If there is no library, or no GPU that it can use.
    """
    for name, mode in _candidates():
        try:
            library = ctypes.CDLL(name, mode=mode)
        except OSError:
            continue
        return Cuda(library)
    raise HwsearchError(
        f"no CUDA runtime library was found ({', '.join(SONAMES)})",
        fix="Install CUDA, or run: pip install nvidia-cuda-runtime",
    )


def _candidates() -> Iterator[tuple[str, int]]:
    """Yields what the process has loaded, then what the system finds, then pip's packages."""
    for flags in (os.RTLD_NOLOAD, 0):
        for name in SONAMES:
            yield name, os.RTLD_NOW | flags
    for folder in sys.path:
        for path in sorted(Path(folder).glob("nvidia/*/lib/libcudart.so.*"), reverse=True):
            yield str(path), os.RTLD_NOW


def _version(number: int) -> str:
    """Writes CUDA's 13000 as "13.0"."""
    return f"{number // 1000}.{number % 1000 // 10}"
