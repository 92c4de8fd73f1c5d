"""The interactive page of a study: one file that needs nothing but a browser."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from hwsearch.report.page import FRAME, assemble, asset


def study_page(data: Mapping[str, Any]) -> str:
    """Returns the HTML of a page that shows what `findings.told` has gathered."""
    own = files("hwsearch.study") / "assets"
    scripts = [*map(asset, FRAME), (own / "study.js").read_text("utf-8")]
    return assemble((own / "study.html").read_text("utf-8"), data, scripts)
