"""What several test files share, and which of them may run at the same time."""

from pathlib import Path

import pytest
import readme
from kits import bare, kit_folder, measured

__all__ = ["bare", "kit_folder", "measured"]

ONE_BY_ONE = {
    f"test_{name}"
    for name in (
        *("bad_input", "readme", "profiling", "transfer", "torch", "catalogue_chain", "timm"),
        *("kit", "host", "import", "far_deploy", "engine_readme"),
    )
}
"""Files whose tests measure, which would disturb each other, or share what takes long to make."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keeps the tests of a file in one process, and those of all that measure in one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            name = Path(nodeid.partition("::")[0]).stem
            return "measured" if name in ONE_BY_ONE else name

    return ByFile(config, log)


@pytest.fixture(scope="session")
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of the README has been run: real run, table, engine."""
    folder = tmp_path_factory.mktemp("user")
    readme.prepare(folder)
    readme.run_all(folder)
    return folder
