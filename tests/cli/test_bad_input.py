"""Whatever is wrong: one line that names the cure, the right code, nothing written."""

import socket
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from signoff import Approve, Principal
from signoff.cli import app
from signoff.cli.exits import ExitCode, code_of, guarded
from signoff.domain import errors
from signoff.storage.engine import make_engine
from tests.cli.shop import Ran, Shop, signoff
from tests.support import free_port

SAM = Principal(id="sam")
REQUEST = "REQUEST"
DIGEST = "DIGEST"
SETTLED = "SETTLED"


def run(shop: Shop, *arguments: str) -> Ran:
    """A command in this process, as Sam."""
    env = {"SIGNOFF_STORE": shop.address, "SIGNOFF_TOKEN": shop.person("sam")}
    result = CliRunner().invoke(app, list(arguments), env=env)
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("show req_nosuch", 3, ["req_nosuch", "signoff list"]),
        ("show abc", 2, ["too short"]),
        ("approve req_nosuch --yes --digest 0123456789ab", 3, ["req_nosuch"]),
        ("approve REQUEST", 2, ["--yes --digest"]),
        ("approve REQUEST --yes", 2, ["--digest"]),
        ("approve REQUEST --yes --digest 0123", 2, ["12 to 64"]),
        ("approve REQUEST --yes --digest wxyz56789abc", 2, ["0-9, a-f"]),
        ("approve REQUEST --yes --digest 0123456789ab", 5, ["something else now"]),
        ("reject REQUEST --digest 0123456789ab", 5, ["something else now"]),
        ("approve SETTLED --yes --digest SETTLED_DIGEST", 5, ["already", "by kim"]),
        ("edit SETTLED --set args.amount=1 --yes --digest SETTLED_DIGEST", 5, ["kim"]),
        ("respond REQUEST", 2, ["--message"]),
        ("respond REQUEST -m \t", 2, ["empty"]),
        ("edit REQUEST --yes --digest DIGEST", 2, ["--set args.NAME=VALUE"]),
        ("edit REQUEST --set amount=1 --yes --digest DIGEST", 2, ["args.NAME=VALUE"]),
        ("edit REQUEST --set args.amount=x --yes --digest DIGEST", 2, ["integer"]),
        ("edit REQUEST --set args.amount=1.5 --yes --digest DIGEST", 2, ["integer"]),
        ("edit REQUEST --set args.amont=1 --yes --digest DIGEST", 2, ["args.amount"]),
        ("edit REQUEST --set args.tags=a --yes --digest DIGEST", 2, ["--set-json"]),
        ("edit REQUEST --set args.tags[9]=a --yes --digest DIGEST", 2, ["no place"]),
        ("edit REQUEST --set args.speed=warp --yes --digest DIGEST", 2, ["slow, fast"]),
        ("edit REQUEST --set args.rate=1e999 --yes --digest DIGEST", 2, ["1e999"]),
        ("edit REQUEST --set-json args.to={ --yes --digest DIGEST", 2, ["isn't JSON"]),
        ("edit REQUEST --set-json args.rate=NaN --yes --digest DIGEST", 2, ["NaN"]),
        ("edit REQUEST --set args.amount=1450 --yes --digest DIGEST", 2, ["approve"]),
        ("edit REQUEST --args-file nowhere.json --yes --digest DIGEST", 2, ["read"]),
        ("edit REQUEST --set args.to=x --editor --yes --digest DIGEST", 2, ["one of"]),
        ("settle ent_none --happened", 3, ["ent_none", "list --unknown"]),
        ("settle ent_none", 2, ["--did-not-happen"]),
        ("cancel SETTLED", 5, ["already approved by kim"]),
        ("list --limit 0", 2, ["--limit", "signoff list --help"]),
        ("list --risk huge", 2, ["critical"]),
        ("list --cursor abc", 2, ["cursor", "start without"]),
        ("list --order risk --status any", 2, ["newest first"]),
        ("lst", 2, ["'list'"]),
        ("list --colour", 2, ["--colour"]),
        ("token revoke 0000", 2, ["unknown"]),
        ("token create eve --expires-in soon", 2, ["'90s'"]),
        ("migrate --store http://127.0.0.1:1", 2, ["name the database"]),
        ("serve --store http://127.0.0.1:1", 2, ["needs a database"]),
        ("list --store http://127.0.0.1:9", 6, ["127.0.0.1:9", "signoff serve"]),
        ("list --store sqlite:///nowhere.db", 6, ["nowhere.db", "no such file"]),
        ("list --store oracle://x/y", 2, ["sqlite:///file.db"]),
        ("list --token-file nowhere.txt", 2, ["nowhere.txt", "can't be read"]),
    ],
)
def test_each_mistake_is_one_line_that_names_the_cure(
    shop: Shop, command: str, code: int, words: list[str]
) -> None:
    request, settled = shop.ask(), shop.ask()
    kim = Principal(id="kim")
    shop.so.decide(settled.id, Approve(), by=kim, digest=settled.digest)
    shop.person("sam")
    before = shop.so.audit()
    given = {
        "REQUEST": request.id,
        "DIGEST": request.digest,
        "SETTLED": settled.id,
        "SETTLED_DIGEST": settled.digest,
    }
    words_given = [given.get(word, word) for word in command.split(" ")]
    run(shop, *words_given).failed(code, *words)
    assert shop.so.audit() == before
    assert before.holds
    assert shop.so.get(request.id) == request
    assert not Path("nowhere.db").exists()


def test_an_edit_that_fails_the_schema_is_refused_by_the_store(shop: Shop) -> None:
    request = shop.ask()
    sent = ("--yes", "--digest", request.digest)
    refused = run(shop, "edit", request.id, "--set-json", 'args.amount="x"', *sent)
    assert refused.code == 2
    assert "args.amount: 'x' is not of type 'integer'" in refused.err
    assert shop.so.get(request.id) == request


@pytest.mark.row("B5")
def test_nobody_decides_without_a_token_that_works(shop: Shop) -> None:
    request = shop.ask()
    wrong = f"sgn_00000000_{'A' * 43}"
    token, secret = shop.so.create_token("sam")
    shop.so.revoke_token(token.id)
    for given in ("", "sam", wrong, secret):
        approve = ("approve", request.id, "--yes", "--digest", request.digest)
        result = CliRunner().invoke(
            app,
            approve,
            env={"SIGNOFF_STORE": shop.address, "SIGNOFF_TOKEN": given, "USER": "sam"},
        )
        Ran(result.exit_code, result.stdout, result.stderr).failed(4, "token create")
    assert shop.so.get(request.id) == request


def test_a_token_never_stands_on_the_command_line() -> None:
    result = CliRunner().invoke(app, ["list", "--token", "sgn_x"])
    assert result.exit_code == 2


def test_a_token_is_read_from_a_file(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(shop.person("sam") + "\n")
    request = shop.ask()
    reject = ("reject", request.id, "--token-file", str(file))
    result = CliRunner().invoke(app, reject, env={"SIGNOFF_STORE": shop.address})
    assert result.exit_code == 0
    assert shop.so.get(request.id).settled_by == "sam"


def test_a_database_of_a_newer_version_is_left_alone(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO signoff_schema VALUES (9000, 'later')")
    engine.dispose()
    for command in ("list", "migrate"):
        ended = signoff(command, env={"SIGNOFF_STORE": database_url})
        assert (ended.code, ended.out) == (6, "")
        error = ended.err.splitlines()[-1]
        assert error.startswith("error: The database has schema 9000")
        assert "pip install -U signoff" in error


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "garbage.db"
    file.write_bytes(bytes(range(256)) * 40)
    for address in (f"sqlite:///{file}", f"sqlite:///{tmp_path}"):
        signoff("list", env={"SIGNOFF_STORE": address}).failed(6, "can't be used")
    assert file.read_bytes() == bytes(range(256)) * 40
    assert list(tmp_path.iterdir()) == [file]


def test_a_database_that_is_down_is_named_without_its_password() -> None:
    address = f"postgresql://sam:hush@127.0.0.1:{free_port()}/signoff"
    ended = signoff("list", env={"SIGNOFF_STORE": address})
    ended.failed(6, "postgresql://sam:***@127.0.0.1")
    assert "hush" not in ended.err


class _Other(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Not on stderr, which the command owns here."""


def test_a_server_that_is_something_else_is_named(shop: Shop) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Other) as other:
        threading.Thread(target=other.serve_forever).start()
        address = f"http://127.0.0.1:{other.server_address[1]}"
        refused = run(shop, "show", "req_12345", "--store", address)
        other.shutdown()
    refused.failed(6, address, "isn't signoff")


def test_serving_on_a_taken_port_starts_nothing(shop: Shop) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        ended = shop.run("serve", "--no-inbox", "--port", port)
    assert (ended.code, ended.out) == (6, "")
    assert ended.err.splitlines()[-1].startswith(f"error: Port {port} on 127.0.0.1")


def test_debug_shows_where_it_happened_wherever_it_stands(shop: Shop) -> None:
    for command in (["--debug", "show", "zzzz"], ["show", "zzzz", "--debug"]):
        ended = shop.run(*command)
        assert (ended.code, ended.out) == (3, "")
        assert "Traceback" in ended.err
        assert ended.err.splitlines()[-1].startswith("error: No request 'zzzz'")


def test_a_bug_of_ours_has_a_code_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert guarded(lambda: 1 // 0, debug=False) == ExitCode.BUG
    assert "--debug" in capsys.readouterr().err


def test_every_error_has_its_exit_code() -> None:
    families = (errors.CallerError, errors.LostRace, errors.WorldError)
    found = {
        name: code_of(kind.__new__(kind))
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, families)
    }
    assert [name for name, code in found.items() if code == ExitCode.BUG] == []
    assert found["AlreadyDecided"] == found["DigestMismatch"] == ExitCode.TOO_LATE
    assert found["PortTaken"] == ExitCode.WORLD
    assert found["InvalidEdit"] == ExitCode.USAGE
