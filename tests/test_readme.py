"""The README keeps its word: its commands, copied and pasted, give a streamed reply."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import ROOT, Serving

README = (ROOT / "README.md").read_text()
FIRST_REPLY = README.split("## A first reply")[1].split("\n## ")[0]


@pytest.fixture
def serving(folder: Path) -> Iterator[Serving]:
    server = Serving(folder / "readme").start()
    yield server
    server.stop()


def test_the_quickstart_copied_and_pasted_gives_a_streamed_reply(serving: Serving) -> None:
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", FIRST_REPLY, re.DOTALL))
    commands = commands.replace("http://localhost:8000", serving.url)
    said = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=ROOT,
        env=serving.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr
    frames = re.findall(r"^event: (.+)$", said.stdout, re.MULTILINE)
    assert frames[0] == "run.started"
    assert "message.delta" in frames
    assert frames[-1] == "run.completed"
    assert '"status":"completed"' in said.stdout.splitlines()[-1]


def test_every_file_that_the_readme_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_make_target_that_the_readme_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
