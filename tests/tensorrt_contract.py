"""Calls everything that hwsearch calls of TensorRT, on fakes of the true binding classes.

Run by test_tensorrt_contract.py in a process of its own whose `tensorrt_bindings` is the true
package over stub libraries: the classes and their signatures are real, only what they would
compute is not. Prints what was checked as JSON.
"""

import ast
import inspect
import json
import re
import sys
from functools import partial
from pathlib import Path
from unittest.mock import create_autospec, patch

import numpy as np
import tensorrt_bindings as api

sys.modules["tensorrt"] = api

from hwsearch.errors import HwsearchError  # noqa: E402
from hwsearch.runtime import tensorrt as module  # noqa: E402
from hwsearch.runtime import tensorrt_build  # noqa: E402
from hwsearch.runtime.base import BuildOptions, LoadOptions, Portable  # noqa: E402
from hwsearch.runtime.tensorrt_settings import TensorRtSettings  # noqa: E402

SHAPE = (2, 3, 8, 8)
TREES = [ast.parse(Path(m.__file__).read_text()) for m in (module, tensorrt_build)]
NATIVE = re.compile(r"tensorrt_bindings\.tensorrt\.([\w.]+)")


def resolve_names() -> list[str]:
    """Resolves every `tensorrt.X.Y` that is written in our modules."""
    found = set()
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("tensorrt."):
                found.add(ast.unparse(node).removeprefix("tensorrt."))
    for name in found:
        thing = api
        for part in name.split("."):
            thing = getattr(thing, part)
    return sorted(found)


def signatures(function: object) -> list[tuple[inspect.Signature, str]]:
    """Reads the signatures, with what each returns, out of what pybind11 wrote about a function."""
    name, found = function.__name__, []
    for line in function.__doc__.splitlines():
        match = re.fullmatch(rf"(?:\d+\. )?{name}\((.*)\) -> (.*)", line.strip())
        if not match:
            continue
        parameters = []
        for text in re.findall(r"(?:[^,\[<]|\[[^\]]*\]|<[^>]*>)+", match[1]):
            (argument, _, annotation), default = text.strip().partition(": "), inspect._empty
            if " = " in annotation:
                annotation, _, default = annotation.partition(" = ")
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            parameters.append(
                inspect.Parameter(argument, kind, default=default, annotation=annotation)
            )
        found.append((inspect.Signature(parameters), match[2]))
    assert found, f"no signature of {name} in {function.__doc__!r}"
    return found


def fits(value: object, annotation: str) -> bool:
    """Says whether pybind11 would convert a value to what a signature asks for."""
    if native := NATIVE.fullmatch(annotation):
        kind = api
        for part in native[1].split("."):
            kind = REAL.get(part) or getattr(kind, part)
        if kind is api.Dims and isinstance(value, tuple):
            return tuple(api.Dims(value)) == value
        return isinstance(value, kind)
    match annotation:
        case "int" | "typing.SupportsInt":
            return isinstance(value, int)
        case "bool" | "str":
            return type(value).__name__ == annotation
        case "buffer" | "typing_extensions.Buffer":
            return isinstance(memoryview(value), memoryview)
    raise AssertionError(f"unknown annotation {annotation}")


class Memory(bytes):
    """Stands for IHostMemory, which offers a buffer and cannot be made."""


class World:
    """Makes fakes whose every call is bound to the true signature, types included."""

    def __init__(self, dtype: str) -> None:
        self.called, self.assigned = set(), set()
        tensor = {"name": "image", "shape": api.Dims(SHAPE), "dtype": getattr(api.DataType, dtype)}
        self.values = {
            "INetworkDefinition": {"num_layers": 1, "num_inputs": 1},
            "ILayer": {"name": "a", "type": api.LayerType.CONVOLUTION, "num_outputs": 1},
            "ITensor": tensor,
            "ICudaEngine": {"num_io_tensors": 2},
            "OnnxParser": {"num_errors": 1},
        }
        self.answers = {
            "get_tensor_name": ("image", "embedding").__getitem__,
            "get_tensor_shape": lambda name: api.Dims(SHAPE),
            "get_tensor_dtype": lambda name: api.DataType.FLOAT,
            "get_tensor_mode": lambda name: (
                api.TensorIOMode.INPUT if name == "image" else api.TensorIOMode.OUTPUT
            ),
            "get_error": lambda index: self.made(api.ParserError),
            "desc": lambda: "a reason",
            "get_engine_information": lambda format: "{}",
        }

    def made(self, kind: type) -> object:
        """Returns a fake instance of a binding class."""
        fake = create_autospec(kind, instance=True, spec_set=True)
        for name in dir(kind):
            if not name.startswith("_") and callable(getattr(kind, name)):
                getattr(fake, name).side_effect = partial(self.call, kind, name, fake)
        for name, value in self.values.get(kind.__name__, {}).items():
            assert isinstance(getattr(kind, name), property), (kind, name)
            setattr(fake, name, value)
        plain = type(fake).__setattr__

        def assign(mock: object, name: str, value: object) -> None:
            if isinstance(attribute := getattr(kind, name, None), property):
                *_, wanted = re.findall(r"arg\d: ([\w.]+)", attribute.fset.__doc__)
                assert fits(value, wanted), (kind, name, value, wanted)
                self.assigned.add(f"{kind.__name__}.{name}")
            plain(mock, name, value)

        type(fake).__setattr__ = assign
        return fake

    def call(self, kind: type, name: str, *arguments: object, **named: object) -> object:
        """Checks a call and answers it with what the signature says that it returns."""
        for signature, returned in signatures(getattr(kind, name)):
            try:
                bound = signature.bind(*arguments, **named).arguments
            except TypeError:
                continue
            parameters = signature.parameters
            if all(fits(value, parameters[key].annotation) for key, value in bound.items()):
                self.called.add(f"{kind.__name__}.{name}")
                answer = self.answers.get(name)
                return answer(*arguments[1:], **named) if answer else self.default(returned)
        raise AssertionError(f"{kind.__name__}.{name} takes no {arguments[1:]} {named}")

    def default(self, returned: str) -> object:
        """Returns a value of a type that a signature names."""
        if native := NATIVE.fullmatch(returned):
            if native[1] == "IHostMemory":
                return Memory(b"plan")
            return self.made(REAL.get(native[1]) or getattr(api, native[1]))
        return {"None": None, "int": 0, "bool": True, "str": ""}[returned]

    def constructor(self, name: str) -> object:
        """Returns what takes the place of a binding class that our modules make."""

        def construct(*arguments: object) -> object:
            fake = self.made(REAL[name])
            self.call(REAL[name], "__init__", fake, *arguments)
            return fake

        return construct

    def patched(self) -> object:
        """Puts the fakes in place."""
        return patch.multiple(api, **{name: self.constructor(name) for name in REAL})


REAL = {name: getattr(api, name) for name in ("Builder", "OnnxParser", "Runtime")}


def build_load_and_time(out: Path, precision: str, dtype: str, settings: TensorRtSettings) -> World:
    """Runs our real code once from an ONNX file to a window of calls."""
    world, runtime = World(dtype), module.TensorRt(settings)
    if precision == "int8":
        world.values["ILayer"]["type"] = api.LayerType.QUANTIZE
    onnx = out / "model.onnx"
    onnx.write_bytes(b"never read")
    feed = {"image": np.ones(SHAPE, "float32")}
    with world.patched():
        for _ in range(2):  # the second time there is a timing cache
            engine = runtime.build(Portable(onnx), out, BuildOptions(precision, cache=out))
        with runtime.load(engine, LoadOptions(precision=precision)) as loaded:
            assert loaded.provider == "CUDA Stub Orin"
            assert loaded.run(feed)["embedding"].shape == SHAPE
            assert (loaded.window(feed, 0.0) == [0.0005]).all()
    return world


def fail_at(out: Path, name: str, answer: object) -> World:
    """Lets one call fail as TensorRT says it would; our code must tell it."""
    world = World("FLOAT")
    world.answers[name] = lambda *arguments, **named: answer
    try:
        with world.patched():
            runtime = module.TensorRt()
            engine = runtime.build(Portable(out / "model.onnx"), out, BuildOptions())
            with runtime.load(engine, LoadOptions()) as loaded:
                loaded.run({"image": np.ones(SHAPE, "float32")})
    except HwsearchError as error:
        assert re.match("tensorrt (cannot|refuses)", str(error)) and error.__cause__ is None, error
    else:
        raise AssertionError(f"{name} failed in silence")
    return world


def require_all(called: set[str]) -> None:
    """Refuses that a method of a binding class is called in our modules, but never was here."""
    exercised = {name.partition(".")[2] for name in called}
    kinds = [getattr(api, kind) for kind in {name.partition(".")[0] for name in called}]
    nodes = (node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Call))
    methods = {node.func.attr for node in nodes if isinstance(node.func, ast.Attribute)}
    native = {method for method in methods if any(hasattr(kind, method) for kind in kinds)}
    own = {method for method in native if hasattr(Portable, method)}
    assert native - own <= exercised, native - own - exercised


def main(out: Path) -> None:
    """Checks everything, and that nothing was left out."""
    names = resolve_names()
    everywhere = TensorRtSettings(version_compatible=True, hardware_compatibility="AMPERE_PLUS")
    worlds = [
        build_load_and_time(out, "fp32", "FLOAT", TensorRtSettings()),
        build_load_and_time(out, "fp16", "HALF", everywhere),
        build_load_and_time(out, "int8", "HALF", TensorRtSettings()),
        fail_at(out, "parse_from_file", False),
        fail_at(out, "add_optimization_profile", -1),
        fail_at(out, "build_serialized_network", None),
        fail_at(out, "deserialize_cuda_engine", None),
        fail_at(out, "create_execution_context", None),
        fail_at(out, "set_tensor_address", False),
        fail_at(out, "execute_async_v3", False),
    ]
    called = set().union(*(world.called for world in worlds))
    require_all(called)
    try:
        api.Builder(tensorrt_build.LOG)
    except TypeError:
        built = False
    print(
        json.dumps(
            {
                "version": api.__version__,
                "names": names,
                "calls": sorted(called),
                "assigned": sorted(set().union(*(world.assigned for world in worlds))),
                "stubs_build": built,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
