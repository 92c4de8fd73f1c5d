"""The interactive page of a report: one file that needs nothing but a browser."""

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from hwsearch.report.style import SERIES, THEMES, colour_scale

PACKAGE = "plotly"

FRAME = ("frame.js",)
"""What the programs of all pages start with."""

SCRIPTS = (*FRAME, "data.js", "points.js", "plots.js", "details.js", "main.js")
"""Parts of the page's program, in their order."""

_ESCAPES = {
    ord("<"): "\\u003c",
    ord(">"): "\\u003e",
    ord("&"): "\\u0026",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
"""What could end a script element or a line of it; JSON has them in strings alone."""


def can_draw_page() -> bool:
    """Whether plotly is installed."""
    return find_spec(PACKAGE) is not None


def page(data: Mapping[str, Any]) -> str:
    """Returns the HTML of a page that shows what `report_data` has gathered."""
    return assemble(asset("page.html"), data, map(asset, SCRIPTS))


def asset(name: str) -> str:
    """Reads a file of the pages."""
    return (files("hwsearch.report") / "assets" / name).read_text("utf-8")


def assemble(html: str, data: Mapping[str, Any], scripts: Iterable[str]) -> str:
    """Puts a page together, in one look.

    Nothing of the data is HTML itself: texts reach the page as JSON, and its program writes them as
    text.

    Args:
        html: The page, with the names of what is put in between pairs of @@.
        data: What the program finds as `DATA`.
        scripts: Parts of the program, in their order, `FRAME` first.
    """
    look = {
        "themes": THEMES,
        "series": SERIES,
        "scales": {theme: colour_scale(theme) for theme in THEMES},
    }
    parts = {
        "STYLE": asset("page.css"),
        "PLOTLY": import_module("plotly.offline").get_plotlyjs().replace("</script", "<\\/script"),
        "DATA": script_json(data),
        "LOOK": script_json(look),
        "PROGRAM": "\n".join(scripts),
    }
    pieces = html.split("@@")
    return "".join(parts[piece] if at % 2 else piece for at, piece in enumerate(pieces))


def script_json(value: object) -> str:
    """Returns JSON that can stand inside a script element, whatever its strings hold.

    Raises:
        ValueError: If a number is not finite.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.translate(_ESCAPES)
