"""What several test files share."""

from pathlib import Path

import pytest
import readme
from kits import bare, kit_folder, measured

__all__ = ["bare", "kit_folder", "measured"]


@pytest.fixture(scope="session")
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of the README has been run: real run, table, engine."""
    folder = tmp_path_factory.mktemp("user")
    readme.prepare(folder)
    readme.run_all(folder)
    return folder
