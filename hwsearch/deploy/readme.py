"""The README in an engine's folder: what it is, and how to call it."""

import json
import re
from pathlib import Path
from string import Template

from hwsearch.deploy.manifest import Dense, Input, Manifest
from hwsearch.deploy.readme_code import BYTES, CPP, NORMALISE, PREPARE, PREPARE_RAW, PYTHON
from hwsearch.journal import write_atomic

NAME = "README.md"

_TEXT = Template("""\
# $engine ($runtime, $precision)

$what
$lies
A call (images: $batch, threads: $threads) took $measured_ms ms on the machine that built it.
`manifest.json` holds everything that was checked and measured, and the hash of each file.

| | name | type |
|---|---|---|
$ports
$precisions
Images are cut to their centre square, scaled to $side × $side pixels (bilinear,
antialiased)$normalised

## With hwsearch

```python
import hwsearch

with hwsearch.load(".") as engine:
    for name, output in engine.outputs("photo.png").items():
        print(name, output.shape)
```
""")


def write_readme(folder: Path, manifest: Manifest, device: str = "") -> None:
    """Writes the README beside an engine; see `readme`."""
    write_atomic(folder / NAME, readme(manifest, device))


def readme(manifest: Manifest, device: str = "") -> str:
    """Returns how to call an engine; for ONNX Runtime and OpenVINO on the CPU without hwsearch too.

    Args:
        manifest: Of the engine.
        device: Where it was built and lies, if it is not beside the README.
    """
    values, runtime = _values(manifest), manifest.runtime
    lies = f"\nThe engine lies on the device {inline_code(device)}, in its build folder there.\n"
    values["lies"] = lies if device else ""
    text = _TEXT.substitute(values)
    if manifest.classifier is not None:
        classes = ", ".join(map(inline_code, manifest.classifier.classes))
        text += f'\n`engine.classify("photo.png")` tells classes; `scores` are of {classes}.\n'
    if manifest.dense is not None:
        text += _dense(manifest.dense)
    if runtime in PYTHON:
        prepare = PREPARE_RAW if manifest.input.raw else PREPARE
        code = prepare.substitute(values) + "\n\n" + PYTHON[runtime].substitute(values)
        code += "for name, output in outputs.items():\n    print(name, output.shape)\n"
        text += f"\n## With {runtime} alone\n\n```python\n{code}```\n"
        read = BYTES if manifest.input.raw else NORMALISE
        code = read.substitute(values) + "\n" + CPP[runtime].substitute(values)
        text += f"\n## From C++\n\n```cpp\n{code}```\n"
    return text


_TOLD = {
    "detection": """
`engine.detect("photo.png")` finds boxes in pixels of the photo. `scores` are how likely a box of a
class has its middle at a place of the grid, `boxes` the left, top, right and bottom of the box
there as shares of the cut square; a box is where a score is the largest of the 3 × 3 places around.
""",
    "segmentation": """
`engine.segment("photo.png")` tells the class of each pixel of the cut square: that of the largest
of the `scores`.
""",
}


def inline_code(text: str) -> str:
    """Returns text as inline code of Markdown, which no name can leave: it may be anybody's."""
    plain = " ".join(re.sub(r"[`\x00-\x1f]", " ", text).split())
    return f"`{plain or '?'}`"


def _quoted(text: str) -> str:
    """Returns text as a literal of Python and of C++."""
    return json.dumps(text)


def _dense(dense: Dense) -> str:
    """Returns what the outputs of a head tell."""
    classes = ", ".join(map(inline_code, dense.classes))
    return f"{_TOLD[dense.task]}Classes: {classes}.\n"


def _values(manifest: Manifest) -> dict[str, object]:
    takes, names = manifest.input, [output.name for output in manifest.outputs]
    chosen = [f"{name}={value}" for name, value in manifest.subnet.items()]
    return {
        "engine": manifest.engine,
        "runtime": manifest.runtime,
        "precision": manifest.precision,
        "what": f"{inline_code(','.join(chosen))} of {inline_code(manifest.space)}.",
        "batch": takes.batch,
        "threads": manifest.threads,
        "measured_ms": f"{manifest.latency.measured_ms:.3f}",
        "ports": "\n".join(_ports(manifest)),
        "precisions": _precisions(manifest),
        "side": takes.side,
        "normalised": _normalised(takes),
        "sizes": ", ".join(map(str, (takes.batch, *_input_shape(takes)))),
        "number": "uint8_t" if takes.raw else "float",
        "element": "u8" if takes.raw else "f32",
        "mean": list(takes.mean),
        "std": list(takes.std),
        "mean_c": ", ".join(f"{value}f" for value in takes.mean),
        "std_c": ", ".join(f"{value}f" for value in takes.std),
        "input": _quoted(takes.name),
        "names_c": ", ".join(map(_quoted, names)),
        "hint": "bf16" if manifest.precision == "bf16" else "f32",
    }


def _precisions(manifest: Manifest) -> str:
    """Returns what the engine was chosen from, if it was."""
    rows = [
        f"| {one.precision} | {one.latency_ms:.3f} | {one.ratio:.3f} | {one.distance:.4f} |"
        for one in manifest.precisions
        if one.latency_ms is not None
    ]
    if not rows:
        return ""
    head = [
        "| precision | ms a call | to the first | distance to the teacher |",
        "|---|---|---|---|",
    ]
    text = "It was chosen from these, measured in one process:"
    return "\n".join(["", text, "", *head, *rows, ""])


def _ports(manifest: Manifest) -> list[str]:
    takes = manifest.input
    batch = "any number" if takes.any_batch else takes.batch
    number = "uint8" if takes.raw else "float32"
    rows = [_port("input", takes.name, number, (batch, *_input_shape(takes)))]
    return rows + [
        _port("output", out.name, "float32", (batch, *out.shape)) for out in manifest.outputs
    ]


def _port(kind: str, name: str, number: str, shape: tuple[int | str, ...]) -> str:
    named = inline_code(name).replace("|", r"\|")
    return f"| {kind} | {named} | {number} [{', '.join(map(str, shape))}] |"


def _input_shape(takes: Input) -> tuple[int, int, int]:
    return (takes.side, takes.side, 3) if takes.raw else (3, takes.side, takes.side)


def _normalised(takes: Input) -> str:
    if takes.raw:
        return "; the engine itself\nscales and normalises their bytes, red, green and blue."
    return (
        f", divided by 255, and normalised: mean {list(takes.mean)}, standard deviation "
        f"{list(takes.std)} for red, green and\nblue."
    )
