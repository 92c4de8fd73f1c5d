"""What the package declares is what it uses and what it says about itself."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = re.compile(r"[A-Za-z0-9_.-]+")


def names(requirements: list[str]) -> set[str]:
    """Returns the normalised names of requirements such as "numpy>=2.0"."""
    found = (NAME.match(requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", match.group()).lower() for match in found if match}


def imported() -> set[str]:
    """Returns the distributions that the package's own code imports."""
    used = set()
    for path in (ROOT / "hwsearch").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.partition(".")[0])
    used -= {*sys.stdlib_module_names, "_typeshed", "hwsearch"}
    owners = packages_distributions()
    return names([owners[module][0] for module in used])


def modules() -> list[str]:
    """Returns the modules of every floor, highest first, from the import contract."""
    (contract,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["id"] == "floors")
    return re.findall(r"\w+", " ".join(contract["layers"]))


def code_map() -> str:
    """Returns the README's table of modules, each with its docstring's first line."""
    rows = ["| module | what it is |", "|---|---|"]
    for name in modules():
        path = ROOT / "hwsearch" / name
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        caption = (ast.get_docstring(ast.parse(source.read_text())) or "").splitlines()[0]
        rows.append(f"| `{name}` | {caption} |")
    return "\n".join(rows)


def test_every_imported_package_is_declared_and_nothing_else():
    extras = PROJECT["project"]["optional-dependencies"]
    core = names(PROJECT["project"]["dependencies"])
    used = imported()
    optional = names(extras["detection"] + extras["openvino"] + extras["ray"] + extras["timm"])
    assert used <= core | optional
    assert core <= used


def test_every_dependency_is_pinned_for_the_makefile():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = PROJECT["project"]["dependencies"] + extras["openvino"] + extras["dev"]
    assert all("==" in pin and "[" not in pin and "+" not in pin for pin in pins)
    assert names(wanted) <= names(pins)


def test_every_module_stands_on_a_floor_and_in_the_readme():
    found = {path.stem for path in (ROOT / "hwsearch").iterdir() if path.suffix in ("", ".py")}
    found -= {"__init__", "__pycache__", "_data"}
    assert found == set(modules())
    assert code_map() in (ROOT / "README.md").read_text(), code_map()
