"""Where this device keeps what meshai owns: one folder, which `MESHAI_HOME` moves.

Knows paths only: it creates nothing and reads no file.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_dir", "emergency_file", "models_dir"]


def data_dir() -> Path:
    """Return the folder of everything meshai keeps: `$MESHAI_HOME`, else the platform's place for a user's data."""
    home = os.environ.get("MESHAI_HOME")
    if home:
        return Path(home).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("meshai", appauthor=False)


def emergency_file() -> Path:
    """Return the file of whom to call here in an emergency."""
    return data_dir() / "emergency.toml"


def models_dir() -> Path:
    """Return the folder that holds fetched models and the list of adopted ones."""
    return data_dir() / "models"
