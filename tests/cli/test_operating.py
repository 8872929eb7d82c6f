"""Running it: help, completion, migration, tokens, the audit, and serving."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Self, cast

import httpx2
import pytest
import typer
from typer.testing import CliRunner

from signoff import Signoff, Status
from signoff.cli import app
from signoff.cli.options import complete_request
from signoff.client import Client
from signoff.storage.engine import make_engine
from tests.cli.shop import ARGS, POLICY, Shop, environment, signoff
from tests.support import ROOT, run_python

pytestmark = pytest.mark.slow  # each command is a process of its own

HEAVY = """\
import sys
from typer.testing import CliRunner
from signoff.cli import app
for command in ([], ["show"], ["serve"], ["demo"], ["policy", "check"],
                ["deliveries"], ["notify", "test"]):
    assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0
heavy = {"aiosmtplib", "cel", "detect_secrets", "fastapi", "httpx2", "langchain",
         "langchain_core", "langgraph", "psycopg", "sqlalchemy",
         "starlette", "streamlit", "uvicorn"}
print(sorted(heavy & set(sys.modules)))
"""


def test_help_imports_no_framework() -> None:
    ended = run_python(HEAVY)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_every_command_has_help_and_every_exit_code_is_documented() -> None:
    text = CliRunner().invoke(app, [], env={"COLUMNS": "200"}).stdout
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    names = [one.name for one in app.registered_commands]
    for name in names + [group.name for group in app.registered_groups]:
        assert re.search(rf"│ {name} +\w", text), name
        assert f"\nsignoff {name} " in page, name
    for code in (0, 1, 2, 3, 4, 5, 6, 70, 130, 141):
        assert f"| {code} |" in page
    assert signoff("--version").out == "0.1.0\n"


def test_migrating_says_each_step(empty_database_url: str) -> None:
    env = {"SIGNOFF_STORE": empty_database_url}
    first, second = signoff("migrate", env=env), signoff("migrate", env=env)
    assert (first.code, second.code) == (0, 0)
    assert "applying 0001 first" in first.err
    number = first.out.removeprefix("at ")
    assert second.out == f"already at {number}"
    assert "applying" not in second.err


def test_the_first_token_makes_the_database_and_opens_the_door(tmp_path: Path) -> None:
    env = {"SIGNOFF_STORE": f"sqlite:///{tmp_path / 'new.db'}"}
    made = signoff("token", "create", "sam", "-g", "finance", env=env)
    secret = made.out.strip()
    assert re.fullmatch(r"sgn_\w{8}_[\w-]{43}", secret)
    assert "finance" in made.err
    assert secret not in made.err
    (token,) = signoff("token", "list", "--json", env=env).json["tokens"]
    assert (token["principal"], token["groups"]) == ("sam", ["finance"])
    assert secret not in signoff("token", "list", env=env).out
    signoff("cancel", "req_none", env={**env, "SIGNOFF_TOKEN": secret}).failed(3)
    assert signoff("token", "revoke", token["id"], env=env).code == 0
    assert "revoked" in signoff("token", "list", env=env).out


def test_a_token_made_by_somebody_says_by_whom(shop: Shop) -> None:
    shop.person("sam")
    made = shop.run("token", "create", "kim", by="sam")
    assert made.code == 0
    with shop.so.store.reading() as reading:
        events = list(reading.events("signoff:tokens"))
    assert [event.fact.actor for event in events] == [None, "sam"]


def test_an_audit_that_holds_says_so(any_shop: Shop) -> None:
    any_shop.person("sam")
    any_shop.ask()
    found = any_shop.run("audit", "verify", by="sam")
    assert found.code == 0
    assert found.out.endswith("all hold.\n")


@pytest.mark.row("D1")
def test_an_audit_names_each_break_on_its_line(database_url: str) -> None:
    so = Signoff(database_url, policy=POLICY)
    shop = Shop(so, database_url)
    request, other = shop.ask(thread="a\nb"), shop.ask(thread="c")
    so.close()
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE requests "
            "SET status = 'approved', settled_at = 1, settled_by = 'eve'"
        )
    engine.dispose()
    ended = signoff("audit", "verify", env={"SIGNOFF_STORE": database_url})
    assert ended.code == 1
    breaks = ended.out.splitlines()[:-1]
    assert len(breaks) == 2
    assert breaks[0].startswith("thread a[U+000A]b, event 1: ")
    assert request.id in breaks[0]
    assert breaks[1].startswith("thread c, event 1: ")
    assert other.id in breaks[1]
    document = signoff("audit", "verify", "--json", env={"SIGNOFF_STORE": database_url})
    assert (document.code, document.json["holds"]) == (1, False)
    assert len(document.json["breaks"]) == 2


class Serving:
    """`signoff serve` as a process."""

    def __init__(self, shop: Shop, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "signoff", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment({"SIGNOFF_STORE": shop.address}),
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Serving at http://127.0.0.1:"), (
            self.process.communicate()
        )
        self.url = line.removeprefix("Serving at ").strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        """Its exit code and what it said."""
        self.process.send_signal(number)
        said = self.process.communicate(timeout=30)[1]
        return self.process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_api_is_served_until_a_signal_comes(
    shop: Shop, number: signal.Signals
) -> None:
    request = shop.ask()
    with Serving(shop, "--no-inbox") as serving:
        with Client(serving.url, shop.person("sam")) as client:
            assert client.get(request.id) == request
        env = {"SIGNOFF_TOKEN": shop.tokens["sam"]}
        there = signoff("reject", request.id, "--store", serving.url, env=env)
        assert there.code == 0
        assert shop.so.get(request.id).status is Status.REJECTED
        code, said = serving.stop(number)
    assert code == 0
    assert "Traceback" not in said


def test_the_inbox_is_served_in_the_same_process(shop: Shop) -> None:
    with Serving(shop) as serving:
        answer = httpx2.get(f"{serving.url}/", headers={"Accept": "text/html"})
        code, said = serving.stop(signal.SIGTERM)
    assert (code, "Traceback" in said) == (0, False)
    assert answer.status_code == 200
    assert "text/html" in answer.headers["Content-Type"]


def test_making_a_token_over_http_needs_an_admin(shop: Shop) -> None:
    from signoff.server import Server

    shop.person("sam")
    shop.person("root", "admin")
    with Server(shop.so) as server:
        over_http = Shop(shop.so, server.url, shop.tokens)
        over_http.run("token", "create", "eve", by="sam").failed(4, "sam")
        assert over_http.run("token", "create", "eve", by="root").code == 0
        over_http.run("token", "list").failed(4, "SIGNOFF_TOKEN")
    assert [token.principal for token in shop.so.tokens()][-1] == "eve"


def test_a_reader_that_leaves_is_no_error(shop: Shop) -> None:
    for number in range(200):
        shop.ask(args={**ARGS, "amount": number})
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "signoff", "list", "--all", "--json"],
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
            env=environment({"SIGNOFF_STORE": shop.address}),
            text=True,
            timeout=60,
        )
    assert (ended.returncode, ended.stderr) == (141, "")


def complete(shop: Shop, words: str, shell: str) -> str:
    """What the shell gets when Tab is pressed after these words."""
    env = {
        "SIGNOFF_STORE": shop.address,
        "_SIGNOFF_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": words,
    }
    script = shutil.which("signoff", path=str(Path(sys.executable).parent))
    assert script is not None
    return subprocess.run(
        [script],
        capture_output=True,
        check=True,
        env=environment(env),
        text=True,
        timeout=60,
    ).stdout


def test_tab_completes_commands_and_requests(shop: Shop) -> None:
    request = shop.ask()
    assert complete(shop, "signoff app", "bash").split() == ["approve"]
    assert complete(shop, "signoff approve req_", "bash").split() == [request.id]
    away = "signoff approve --store sqlite:///nowhere.db req_"
    assert complete(shop, away, "bash").split() == []


def test_completion_gives_a_shell_nothing_to_evaluate(shop: Shop) -> None:
    shop.ask("pay\\$(id)", {"to": "`id` \\$(id) '\"; id\n$(id)\x1b[31m"}, schema=None)
    shown = complete(shop, "signoff show req_", "zsh")
    description = shown.partition(":")[2].partition('"))')[0]
    assert "pay" in description
    assert not set("`$\\;\x1b") & set(shown.partition("((")[2].partition("))")[0])


def test_completion_is_quiet_when_there_is_no_store() -> None:
    context = SimpleNamespace(params={"store": "sqlite:///nowhere.db"})
    assert complete_request(cast("typer.Context", context), "req_") == []


def test_the_completion_of_a_shell_can_be_shown() -> None:
    assert "_SIGNOFF_COMPLETE" in signoff("--show-completion", "bash").out


def test_the_demo_decides_by_itself(tmp_path: Path) -> None:
    folder = str(tmp_path / "world")
    ended = signoff("demo", "--auto", "reject", "--dir", folder, cwd=tmp_path)
    assert ended.code == 0, ended
    assert "Traceback" not in ended.err


def test_a_store_on_the_command_line_wins_over_the_environment(shop: Shop) -> None:
    shop.ask()
    env = {"SIGNOFF_STORE": "sqlite:///nowhere.db"}
    found = signoff("list", "--json", "-s", shop.address, env=env).json
    assert len(json.loads(json.dumps(found))["requests"]) == 1
