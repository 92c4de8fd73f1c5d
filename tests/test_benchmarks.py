"""Benchmarks are run by hand: that each can still be started is tested here."""

import ast
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent / "benchmarks"


def test_every_benchmark_can_be_imported():
    names = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
    program = f"import importlib\nfor name in {names}: importlib.import_module(name)"
    words = [sys.executable, "-W", "ignore", "-c", program]
    ran = subprocess.run(words, cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_list_has_every_benchmark_and_what_it_asks():
    rows = []
    for path in sorted(BENCHMARKS.glob("*.py")):
        source = path.read_text()
        if "__main__" in source:
            asks = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
            rows.append(f"| `{path.name}` | {asks} |")
    rows = "\n".join(rows)
    assert rows in (BENCHMARKS / "README.md").read_text(), rows
