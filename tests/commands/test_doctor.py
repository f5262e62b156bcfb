"""bootstrap and doctor: an installation from the command line, and what is wrong with one."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.mail_server import mail_server
from tests.serving import ROOT

Say = Callable[..., subprocess.CompletedProcess[str]]
BOOTSTRAP = ("bootstrap", "--organization", "Acme", "--project", "Demo", "--email", "ada@example.com", "--json")


@pytest.fixture
def say(tmp_path: Path, fresh_database: str) -> Say:
    """Run a command of the installation that has this file's database and a data folder of its own."""

    def run(*words: str, **knobs: str) -> subprocess.CompletedProcess[str]:
        mine = {"IC_DATABASE_URL": fresh_database, "IC_DATA_DIR": str(tmp_path)} | knobs
        return subprocess.run(
            [sys.executable, "-m", "ingram_app", *words],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("IC_")} | mine,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_an_installation_is_made_adopted_and_found_well_until_its_key_is_lost(say: Say) -> None:
    told, again = (say(*BOOTSTRAP, IC_PORT="8123") for _ in range(2))
    made, adopted = json.loads(told.stdout), json.loads(again.stdout)
    assert set(made) == {"organization_id", "project_id", "organization_key", "tenant_token", "welcome_link"}
    assert made["organization_id"] == adopted["organization_id"]
    assert made["project_id"] == adopted["project_id"]
    assert made["tenant_token"] != adopted["tenant_token"]
    assert made["welcome_link"] == adopted["welcome_link"]
    assert made["welcome_link"].startswith("http://localhost:8123/welcome?link=")
    assert f"at: {made['welcome_link']}\n" in told.stderr

    well = say("doctor")
    assert (well.returncode, "wrong" in well.stdout) == (0, False), well.stdout

    lost = say("doctor", IC_MASTER_KEY="0" * 64)
    assert lost.returncode == 1
    assert "wrong  stored secrets" in lost.stdout
    assert "master key" in lost.stdout


async def test_the_doctor_says_whether_mail_is_sent(say: Say) -> None:
    assert "note   mail: none is sent." in say("doctor").stdout
    sender = {"IC_MAIL_FROM": "Ingram Cloud <cloud@example.com>"}
    assert "wrong  mail: none is sent" in say("doctor", **sender).stdout
    assert "would not take any" in say("doctor", IC_SMTP_URL="smtp://127.0.0.1:1", **sender).stdout
    async with mail_server() as post_office:
        answer = await asyncio.to_thread(say, "doctor", IC_SMTP_URL=post_office.url, **sender)
    assert "well   mail" in answer.stdout
    assert "IC_SMTP_URL is wrong: it must look like" in say("doctor", IC_SMTP_URL="mail.example.com").stdout


def test_the_doctor_says_which_setting_is_wrong(say: Say) -> None:
    answer = say("doctor", IC_PORT="many")
    assert answer.returncode == 1
    assert "IC_PORT is wrong" in answer.stdout


def test_the_doctor_says_that_the_database_does_not_answer(say: Say) -> None:
    answer = say("doctor", IC_DATABASE_URL="postgresql://nobody@localhost:1/nothing")
    assert answer.returncode == 1
    assert "wrong  database: The database does not answer" in answer.stdout


def test_bootstrap_refuses_an_address_that_is_none(say: Say) -> None:
    answer = say(*BOOTSTRAP[:-2], "nobody")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "nobody is not an e-mail address" in answer.stderr
