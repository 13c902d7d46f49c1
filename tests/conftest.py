"""What several test files need."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import settings

from protocol.errors import LocalError

settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=3000, print_blob=True)
settings.load_profile("steady")
"""The same examples in every run; `pytest --hypothesis-profile=explore` looks for new ones."""


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The SmolLM2 135M GGUF. Its absence fails the test: a skipped test proves nothing."""
    named = os.environ.get("MESHAI_MODEL_FILE")
    if named:
        return Path(named)
    from nodes.models.shelf import find_model

    try:
        return find_model("smollm2-135m").path
    except LocalError as error:
        pytest.fail(f"run make test, which fetches the model ({error})", pytrace=False)


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> Path:
    """A GGUF file as small as can be: one tensor, a chat template, a context of 512 tokens."""
    path = tmp_path / "tiny.gguf"

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 3)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("llama.context_length") + struct.pack("<II", 4, 512)
    head += text("tokenizer.chat_template") + struct.pack("<I", 8) + text("{{ messages }}")
    head += text("tensor") + struct.pack("<IQIQ", 1, 32, 0, 0)
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(4 * 32))
    return path


def pytest_terminal_summary(terminalreporter) -> None:
    """Say which skips nobody allowed."""
    for report in _unlisted_skips(terminalreporter):
        terminalreporter.write_line(
            f"SKIPPED WITHOUT LEAVE {report.nodeid}: list it in tests/allowed_skips.txt, or run it"
        )


def pytest_sessionfinish(session) -> None:
    """A skipped test that tests/allowed_skips.txt does not name fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and _unlisted_skips(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unlisted_skips(reporter) -> list[pytest.TestReport]:
    lines = (Path(__file__).parent / "allowed_skips.txt").read_text().splitlines()
    allowed = {line.partition("#")[0].strip() for line in lines}
    return [report for report in reporter.stats.get("skipped", []) if report.nodeid not in allowed]
