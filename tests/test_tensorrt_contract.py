"""TensorRT's true bindings, over stub libraries, offer all that is called, as it is called.

The wheels are looked for in the folder that HWSEARCH_TENSORRT_WHEELS names; fill it with
    pip download --no-deps --only-binary=:all: --python-version 3.10 -d FOLDER PACKAGE
of tensorrt-cu12-bindings==10.3.0, tensorrt-cu13-bindings==10.16.1.11, the same ==11.4.0.106
(the Python version is free) and, for Python 3.10, numpy==1.26.4. What is checked: every name
that our modules write, every call's arguments against the signature that the binding's docstring
gives (number, names and types), and every attribute that is set. No engine is built or run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from stub_libraries import compile_cudart, compile_tensorrt

WHEELS = os.environ.get("HWSEARCH_TENSORRT_WHEELS", "")
ROOT = Path(__file__).parents[1]
HERE = "cp{}{}".format(*sys.version_info)


def wheels(package: str, version: str) -> list[Path]:
    return sorted(Path(WHEELS).glob(f"{package}-{version}-*.whl")) if WHEELS else []


def interpreter(tag: str) -> str | None:
    """Returns a Python of the version that a wheel is for, such as "cp310"."""
    if tag == HERE:
        return sys.executable
    name = f"python{tag[2]}.{tag[3:]}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = pyenv.glob(f"versions/{tag[2]}.{tag[3:]}.*/bin/{name}")
    for python in filter(None, (shutil.which(name), *installed)):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(python)
    return None


def environment(wheel: Path, tag: str, folder: Path) -> dict[str, str]:
    """Unpacks the wheel, and NumPy's where that Python is another one, over stub libraries."""
    packages, libraries = folder / "packages", folder / "libraries"
    libraries.mkdir()
    numpy = [] if tag == HERE else sorted(Path(WHEELS).glob(f"numpy-*-{tag}-*.whl"))
    if tag != HERE and not numpy:
        pytest.skip(f"no NumPy for {tag} in HWSEARCH_TENSORRT_WHEELS")
    for archive in (wheel, *numpy[-1:]):
        zipfile.ZipFile(archive).extractall(packages)
    note = packages / "hwsearch-0.dist-info" / "METADATA"  # another Python has no hwsearch
    note.parent.mkdir()
    note.write_text("Metadata-Version: 2.1\nName: hwsearch\nVersion: 0\n")
    (major,) = re.findall(r"bindings-(\d+)", wheel.name)
    compile_tensorrt(libraries, int(major))
    compile_cudart(libraries)
    paths = os.pathsep.join(str(path) for path in (packages, ROOT))
    return {**os.environ, "LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": paths}


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("tensorrt_cu12_bindings", "10.3.0"),
        ("tensorrt_cu13_bindings", "10.16.1.11"),
        ("tensorrt_cu13_bindings", "11.4.0.106"),
    ],
)
def test_every_name_and_call_is_the_bindings_own(tmp_path: Path, package: str, version: str):
    found = {re.findall(r"cp3\d+", path.name)[0]: path for path in wheels(package, version)}
    if not found:
        pytest.skip(f"{package} {version} is not in HWSEARCH_TENSORRT_WHEELS ({WHEELS or 'unset'})")
    tag = HERE if HERE in found else sorted(found)[0]
    if (python := interpreter(tag)) is None:
        pytest.skip(f"no Python {tag} for {found[tag].name}")
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        [python, str(Path(__file__).with_name("tensorrt_contract.py")), str(out)],
        env=environment(found[tag], tag, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["version"] == version
    assert not told["stubs_build"]
    assert {"Builder", "NetworkDefinitionCreationFlag.STRONGLY_TYPED"} <= set(told["names"])
    assert {"IExecutionContext.execute_async_v3", "Builder.__init__"} <= set(told["calls"])
    assert "IBuilderConfig.builder_optimization_level" in told["assigned"]
