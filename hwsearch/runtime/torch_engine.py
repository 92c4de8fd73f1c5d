"""Engines that compute with torch: on the CPU's one pool of threads, or in a CUDA graph."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hwsearch.errors import HwsearchError
from hwsearch.runtime.base import WARMUP_SECONDS, Feed, check_feed, timed_calls
from hwsearch.runtime.torch_program import Border

Call = Callable[..., Sequence[Tensor]]
"""From the resident inputs to the outputs."""

_CAPTURE_CALLS = 3
"""Calls before a CUDA graph is captured: the first ones choose kernels and take memory."""


def device_for(precision: str) -> torch.device:
    """Returns the GPU, or without one the CPU.

    Raises:
        HwsearchError: If it does not compute in these numbers.
    """
    if torch.cuda.is_available():
        fine = precision != "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)
        device = torch.device("cuda")
    else:
        fine = precision == "fp32" or _cpu_has(precision)
        device = torch.device("cpu")
    if not fine:
        raise HwsearchError(f"torch cannot compute in {precision} here", fix="Use --precision fp32")
    if precision == "fp32" and torch.get_float32_matmul_precision() != "highest":
        raise HwsearchError(
            "float32 would be computed in fewer bits here",
            fix="Call torch.set_float32_matmul_precision('highest')",
        )
    return device


def _cpu_has(precision: str) -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    return bool(getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported")())


@contextmanager
def keeping_threads() -> Iterator[None]:
    """Gives the process its number of threads back at the end."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


class _Resident:
    """Inputs that stay where they are."""

    def __init__(self, border: Border, device: torch.device) -> None:
        self.input_specs = border.takes
        self._names = border.gives
        self._inputs = [
            torch.empty_strided(
                spec.shape, strides, dtype=getattr(torch, spec.dtype), device=device
            ).zero_()
            for spec, strides in zip(border.takes, border.strides, strict=True)
        ]

    def _place(self, feed: Feed) -> None:
        check_feed(self.input_specs, feed)
        for spec, held in zip(self.input_specs, self._inputs, strict=True):
            held.copy_(torch.tensor(feed[spec.name]))

    def _named(self, outputs: Sequence[Tensor]) -> dict[str, np.ndarray]:
        return {
            name: output.cpu().numpy() for name, output in zip(self._names, outputs, strict=True)
        }


class CpuEngine(_Resident):
    """A function of tensors on the CPU.

    All engines of a process compute on the same threads, so none that rests can spin.
    """

    provider = "CPU"

    def __init__(self, call: Call, border: Border, threads: int) -> None:
        super().__init__(border, torch.device("cpu"))
        self._call, self._threads = call, threads

    def _prepare(self) -> None:
        # Setting the number forgets all kernels made so far, even if it stays the same.
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        if torch.get_num_threads() != self._threads:
            raise HwsearchError(
                f"{torch.get_num_threads()} threads would run, not {self._threads}",
                fix="Use fewer --threads",
            )

    @torch.inference_mode()
    def run(self, feed: Feed) -> dict[str, np.ndarray]:
        """Computes all outputs, by name."""
        self._prepare()
        self._place(feed)
        return self._named(self._call(*self._inputs))

    @torch.inference_mode()
    def window(self, feed: Feed, seconds: float) -> np.ndarray:
        """Times calls whose input stays where it is, float[n] in seconds."""
        self._prepare()
        self._place(feed)
        return timed_calls(partial(self._call, *self._inputs), seconds)


class CudaEngine(_Resident):
    """A function of tensors, captured in a CUDA graph; inputs and outputs stay on the GPU."""

    @torch.inference_mode()
    def __init__(self, call: Call, border: Border) -> None:
        super().__init__(border, torch.device("cuda"))
        self.provider = f"CUDA {torch.cuda.get_device_name()}"
        self._call = call  # a graph does not keep the weights that it reads
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        # By default convolutions round float32 to 19 bits.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            with torch.cuda.stream(side):
                for _ in range(_CAPTURE_CALLS):
                    call(*self._inputs)
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._outputs = call(*self._inputs)
        end = time.monotonic() + WARMUP_SECONDS
        while time.monotonic() < end:
            self._graph.replay()
            torch.cuda.synchronize()

    @torch.inference_mode()
    def run(self, feed: Feed) -> dict[str, np.ndarray]:
        """Computes all outputs, by name."""
        self._place(feed)
        self._graph.replay()
        return self._named(self._outputs)

    @torch.inference_mode()
    def window(self, feed: Feed, seconds: float) -> np.ndarray:
        """Times calls between two events on the GPU, float[n] in seconds."""
        self._place(feed)
        torch.cuda.synchronize()
        times, end = [], time.monotonic() + seconds
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        while not times or time.monotonic() < end:
            start.record()
            self._graph.replay()
            stop.record()
            stop.synchronize()
            times.append(start.elapsed_time(stop) / 1000)
        return np.array(times)
