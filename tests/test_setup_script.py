"""What `make` says on a machine that lacks something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.realtime

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14", "python")


def find_python(folder, status, **environment):
    """Run the script where every Python ends the check with `status`."""
    for name in NAMES:
        fake = folder / name
        fake.write_text(f"#!/bin/sh\nexit {status}\n")
        fake.chmod(0o755)
    path = f"{folder}:/usr/bin:/bin"
    return subprocess.run(
        ["/bin/sh", str(ROOT / ".ci" / "python")],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [(3, "Python 3.11 or newer"), (4, "64-bit"), (5, "venv"), (6, "libgomp1")],
)
def test_what_is_missing_is_named_with_the_package_to_install(tmp_path, status, words):
    done = find_python(tmp_path, status)
    assert done.returncode == 1
    assert done.stdout == ""
    assert words in done.stderr
    assert status == 4 or "apt install" in done.stderr or "brew install" in done.stderr


def test_a_usable_python_is_found_and_one_named_by_the_user_comes_first(tmp_path):
    assert find_python(tmp_path, 0).stdout.strip() == str(tmp_path / "python3")
    assert find_python(tmp_path, 3, MESHAI_PYTHON=sys.executable).stdout.strip() == sys.executable


def test_the_lock_pins_every_package_with_hashes_and_names_no_index():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    packages = [line for line in lines if line and line[0] not in " #"]
    assert all("==" in line and line.endswith("\\") for line in packages)
    assert not [line for line in lines if "://" in line or line.startswith("--index")]


def test_the_makefile_needs_no_newer_make_than_3_81():
    text = (ROOT / "Makefile").read_text()
    assert not [word for word in (".ONESHELL", "$(file ", "&:", "$(intcmp", ".SHELLFLAGS") if word in text]
