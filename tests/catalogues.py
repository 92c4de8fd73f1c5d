"""Small catalogues of ONNX files for tests."""

from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime

from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue, read_catalogue
from hwsearch.spaces.notes import NOTES_NAME

NETWORKS = {"large": ("basic-32", "max"), "middle": ("basic-32", "min"), "small": ("tiny-8", "min")}
NOTES = "[middle]\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n"


def write_model(path: Path, space: str = "tiny-8", subnet: str = "min") -> Path:
    family = get_space(space)
    export_network(seeded_network(family.lower(family.parse(subnet))), path)
    return path


def write_failing(path: Path) -> Path:
    """Writes a model that loads, and fails once it is called: it looks beside a list."""
    text = """<ir_version: 8, opset_import: ["" : 17]> gather (float[1] x) => (float[1] y) {
        zero = Constant <value = float[1] {0.0}> ()
        list = Constant <value = float[2] {0.0, 1.0}> ()
        far = Constant <value = int64[1] {9}> ()
        nothing = Mul (x, zero)
        whole = Cast <to = 7> (nothing)
        at = Add (whole, far)
        y = Gather (list, at)
    }"""
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def write_folder(folder: Path) -> Path:
    """Writes a catalogue of three networks and its notes."""
    import tiny_space  # noqa: F401

    for name, network in NETWORKS.items():
        write_model(folder / f"{name}.onnx", *network)
    (folder / NOTES_NAME).write_text(NOTES)
    return folder


def catalogue_of(folder: Path) -> Catalogue:
    return read_catalogue(folder, f"catalogue:{folder}")


def outputs(path: Path, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, {"image": image})]
