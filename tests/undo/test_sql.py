"""Rows are taken back as the database had them, and only the columns that changed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from signoff.domain.errors import CannotCapture, InvalidSetting, NotApplied
from signoff.storage.engine import make_engine
from signoff.undo.sql import Named, Tables
from tests.undo.driving import Done, carry_out

PLAIN = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE tickets (
    id INTEGER PRIMARY KEY, title TEXT, status TEXT, points NUMERIC,
    owner INTEGER REFERENCES people (id) ON DELETE SET NULL
);
CREATE TABLE comments (
    ticket INTEGER REFERENCES tickets (id) ON DELETE CASCADE, no INTEGER, said TEXT,
    PRIMARY KEY (no, ticket)
);
CREATE TABLE notes (said TEXT);
INSERT INTO people VALUES (1, 'ana'), (2, 'bo');
INSERT INTO tickets VALUES
    (7, 'Träge', 'open', 1.10, 1), (8, NULL, 'open', NULL, NULL);
INSERT INTO comments VALUES (7, 1, 'first'), (7, 2, 'second'), (8, 1, 'other')
"""
TICKET = {"tickets": {"id": "ticket"}}
EVERY = ("people", "tickets", "comments")


def run(connection: Connection, script: str) -> None:
    for statement in script.split(";\n"):
        connection.execute(text(statement))


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """An application's database, with foreign keys that the database enforces."""
    made = make_engine(empty_database_url)
    with made.begin() as connection:
        run(connection, PLAIN)
    yield made
    made.dispose()


@pytest.fixture
def tables(engine: Engine) -> Tables:
    return Tables(engine)


def do(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def contents(engine: Engine, *names: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every value with its type."""
    found = {}
    with engine.begin() as connection:
        for name in names or EVERY:
            # PostgreSQL knows values that Python doesn't, but each has its text.
            row = name.rpartition(".")[2]
            what = "*" if engine.dialect.name == "sqlite" else f"CAST({row} AS TEXT)"
            rows = connection.execute(text(f"SELECT {what} FROM {name}"))  # noqa: S608 - names of this test
            found[name] = sorted(tuple(map(repr, row)) for row in rows)
    return found


def changed(tables: Tables, engine: Engine, *statements: str, **args: object) -> Done:
    spec = tables.rows("tool", changes=TICKET)
    return carry_out(spec, {"ticket": 7, **args}, lambda: do(engine, *statements))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tickets SET status = 'closed', points = 2 WHERE id = 7",
        "UPDATE tickets SET title = NULL, owner = 2 WHERE id = 7",
        "UPDATE tickets SET title = 'Träge' WHERE id = 7",
        "DELETE FROM tickets WHERE id = 7",
    ],
)
def test_it_is_all_back(tables: Tables, engine: Engine, statement: str) -> None:
    was = contents(engine)
    done = changed(tables, engine, statement)
    done.take_back()
    assert contents(engine) == was
    done.attempt()  # a process that took over does no harm
    assert contents(engine) == was


def test_rows_that_the_database_deletes_along_come_back(
    tables: Tables, engine: Engine
) -> None:
    was = contents(engine)
    done = changed(tables, engine, "DELETE FROM tickets WHERE id = 7")
    assert len(contents(engine)["comments"]) == 1
    assert "comments[1,7].said" in done.before
    done.take_back()
    spec = tables.rows("tool", changes={"people": {"id": "id"}})
    gone = carry_out(
        spec, {"id": 1}, lambda: do(engine, "DELETE FROM people WHERE id = 1")
    )
    assert "tickets[7].owner" in gone.paths
    gone.take_back()
    assert contents(engine) == was


def test_keys_that_begin_with_the_same_column_are_told_apart(
    tables: Tables, engine: Engine
) -> None:
    do(
        engine,
        "CREATE TABLE pairs (a INTEGER, b INTEGER, c INTEGER UNIQUE, "
        "PRIMARY KEY (a, b))",
        "CREATE TABLE uses (id INTEGER PRIMARY KEY, a INTEGER REFERENCES pairs (c), "
        "b INTEGER, FOREIGN KEY (a, b) REFERENCES pairs (a, b) ON DELETE CASCADE)",
        "INSERT INTO pairs VALUES (1, 2, 9), (5, 5, 1)",
        "INSERT INTO uses VALUES (7, 1, 2)",
    )
    was = contents(engine, "pairs", "uses")
    spec = tables.rows("tool", changes={"pairs": {"a": "a", "b": "b"}})
    delete = "DELETE FROM pairs WHERE a = 1"
    done = carry_out(spec, {"a": 1, "b": 2}, lambda: do(engine, delete))
    assert contents(engine, "uses") == {"uses": []}
    done.take_back()
    assert contents(engine, "pairs", "uses") == was


@pytest.mark.parametrize("empty_database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("parent", ["tickets", "public.tickets"])
def test_rows_of_another_schema_come_back_too(
    tables: Tables, engine: Engine, parent: str
) -> None:
    do(
        engine,
        "CREATE SCHEMA other",
        "CREATE TABLE other.logs (id INTEGER PRIMARY KEY, "
        "ticket INTEGER REFERENCES tickets (id) ON DELETE CASCADE)",
        "INSERT INTO other.logs VALUES (1, 7)",
    )
    was = contents(engine, "other.logs", *EVERY)
    spec = tables.rows("tool", changes={parent: {"id": "id"}})
    delete = "DELETE FROM tickets WHERE id = 7"
    carry_out(spec, {"id": 7}, lambda: do(engine, delete)).take_back()
    assert contents(engine, "other.logs", *EVERY) == was


def test_a_new_row_is_taken_away(tables: Tables, engine: Engine) -> None:
    was = contents(engine)
    spec = tables.rows("tool", makes={"tickets": {"id": "id"}})

    def tool() -> Mapping[str, Any]:
        do(engine, "INSERT INTO tickets (id, title) VALUES (9, 'new')")
        return {"id": 9}

    done = carry_out(spec, {"title": "new"}, tool)
    assert done.after["tickets[9].title"] == "new"
    done.take_back()
    assert contents(engine) == was


@pytest.mark.row("C10")
def test_rows_that_others_hung_on_a_new_row_are_a_conflict(
    tables: Tables, engine: Engine
) -> None:
    spec = tables.rows("tool", makes={"tickets": {"id": "id"}})

    def tool() -> Mapping[str, Any]:
        do(
            engine,
            "INSERT INTO tickets (id, title) VALUES (9, 'new')",
            "INSERT INTO comments VALUES (9, 1, 'of the call')",
        )
        return {"id": 9}

    was = contents(engine)
    done = carry_out(spec, {}, tool)
    do(engine, "UPDATE comments SET said = 'theirs', no = 2 WHERE ticket = 9")
    assert done.conflicts() == ["tickets[9] takes along"]
    do(engine, "UPDATE comments SET no = 1 WHERE ticket = 9")
    done.take_back()
    assert contents(engine) == was


def test_a_result_without_the_key_is_not_reversible(
    tables: Tables, engine: Engine
) -> None:
    spec = tables.rows("tool", makes={"tickets": {"id": "id"}})
    with pytest.raises(CannotCapture, match="no names"):
        carry_out(spec, {}, lambda: "done")
    with pytest.raises(CannotCapture, match="no 'id'"):
        carry_out(spec, {}, lambda: {"no": 9})


def test_several_rows_in_one_call(tables: Tables, engine: Engine) -> None:
    was = contents(engine)
    spec = tables.rows(
        "tool", changes=lambda args: [("tickets", {"id": one}) for one in args["ids"]]
    )
    close = "UPDATE tickets SET status = 'closed' WHERE id IN (7, 8)"
    done = carry_out(spec, {"ids": [7, 8]}, lambda: do(engine, close))
    assert done.paths == ("tickets[7].status", "tickets[8].status")
    done.take_back()
    assert contents(engine) == was


@pytest.mark.row("C10")
def test_only_the_same_column_is_a_conflict(tables: Tables, engine: Engine) -> None:
    done = changed(tables, engine, "UPDATE tickets SET status = 'closed' WHERE id = 7")
    do(engine, "UPDATE tickets SET title = 'theirs' WHERE id = 7")
    assert done.conflicts() == []
    do(engine, "UPDATE tickets SET status = 'theirs' WHERE id = 7")
    assert done.conflicts() == ["tickets[7].status"]
    done.attempt()  # as if forced
    with engine.connect() as connection:
        asked = text("SELECT title, status FROM tickets WHERE id = 7")
        assert tuple(connection.execute(asked).one()) == ("theirs", "open")


@pytest.mark.row("C11")
def test_an_id_that_is_used_again_is_a_conflict(tables: Tables, engine: Engine) -> None:
    done = changed(tables, engine, "DELETE FROM tickets WHERE id = 7")
    do(engine, "INSERT INTO tickets (id, title) VALUES (7, 'another')")
    assert "tickets[7].title" in done.conflicts()


def test_it_is_one_transaction(tables: Tables, engine: Engine) -> None:
    spec = tables.rows(
        "tool", changes=lambda _: [("tickets", {"id": 7}), ("tickets", {"id": 8})]
    )
    both = ("UPDATE tickets SET status = 'x', owner = 2",)
    done = carry_out(spec, {}, lambda: do(engine, *both))
    do(engine, "DELETE FROM people WHERE id = 1")  # whom row 7 pointed to
    before = contents(engine)
    with pytest.raises(NotApplied, match="The database refused"):
        done.attempt()
    assert contents(engine) == before


@pytest.mark.parametrize(
    ("changes", "args", "why"),
    [
        ({"notes": {"said": "x"}}, {"x": 1}, "no primary key"),
        ({"nowhere": {"id": "x"}}, {"x": 1}, "no table"),
        ({"comments": {"no": "x"}}, {"x": 1}, "has the primary key no, ticket"),
        ({"tickets": {"id": "x"}}, {}, "no 'x'"),
        ({"tickets": {"id": "x"}}, {"x": None}, "isn't one"),
        ({"tickets; DROP TABLE people": {"id": "x"}}, {"x": 1}, "no table"),
    ],
    ids=["no key", "no table", "half a key", "no argument", "null", "hostile"],
)
def test_what_can_not_be_taken_back_is_refused(
    tables: Tables, changes: Named, args: Mapping[str, object], why: str
) -> None:
    with pytest.raises(CannotCapture, match=why):
        carry_out(tables.rows("tool", changes=changes), args, pytest.fail)


def test_a_hostile_key_is_data(tables: Tables, engine: Engine) -> None:
    was = contents(engine)
    spec = tables.rows("tool", changes={"people": {"id": "id"}})
    args = {"id": "1'; DROP TABLE people; --"}
    if engine.dialect.name == "sqlite":
        assert carry_out(spec, args, lambda: None).paths == ()
    else:
        with pytest.raises(CannotCapture, match="invalid input syntax"):
            carry_out(spec, args, pytest.fail)
    assert contents(engine) == was


def test_more_rows_than_the_limit_are_refused(engine: Engine) -> None:
    few = Tables(engine, max_rows=2)
    with pytest.raises(CannotCapture, match="over 2 rows"):
        changed(few, engine, "DELETE FROM tickets WHERE id = 7")


SQLITE_TRIGGER = """
CREATE TRIGGER told AFTER UPDATE ON tickets
BEGIN INSERT INTO notes VALUES ('changed'); END
"""
POSTGRESQL_TRIGGER = (
    """
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RETURN NEW; END $$
    """,
    """
    CREATE TRIGGER told AFTER UPDATE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tell()
    """,
)


def test_a_trigger_makes_it_ask(tables: Tables, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        do(engine, SQLITE_TRIGGER)
    else:
        do(engine, *POSTGRESQL_TRIGGER)
    with pytest.raises(CannotCapture, match="has the trigger told"):
        changed(tables, engine, "UPDATE tickets SET status = 'closed'")
    spec = tables.rows("tool", makes={"tickets": {"id": "id"}})
    with pytest.raises(CannotCapture, match="has the trigger told"):
        carry_out(spec, {}, lambda: {"id": 7})


def test_names_need_their_quotes(tables: Tables, engine: Engine) -> None:
    do(
        engine,
        'CREATE TABLE "Order; x" ("The id" INTEGER PRIMARY KEY, "a:b ""c" TEXT)',
        "INSERT INTO \"Order; x\" VALUES (1, 'was')",
    )
    was = contents(engine, '"Order; x"')
    spec = tables.rows("tool", changes={"Order; x": {"The id": "id"}})
    done = carry_out(spec, {"id": 1}, lambda: do(engine, 'DELETE FROM "Order; x"'))
    done.take_back()
    assert contents(engine, '"Order; x"') == was


SQLITE = {
    "a INTEGER": "9223372036854775807",
    "b REAL": "-0.0",
    "c BLOB": "x'00ff'",
    "d": "1.0",
    "e": "9e999",
    "f NUMERIC": "0.1",
    "g TEXT": "'nul' || char(0) || 'x'",
    "h": "x''",
    "i DATETIME": "'not a date'",
}
POSTGRESQL = {
    "a BIGINT": "9223372036854775807",
    "b DOUBLE PRECISION": "'NaN'",
    "c BYTEA": r"'\x00ff'",
    "d NUMERIC": "1.10",
    "e JSONB": """ '{"a": [1, null]}' """,
    "f TIMESTAMPTZ": "'2026-03-29 02:30:00.123456+05:30'",
    "g UUID": "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
    "h TEXT[]": """ ARRAY['x,y', NULL, '"'] """,
    "i INT4RANGE": "'[1,5)'",
    "j INTERVAL": "'1 mon 2 days'",
    "k BOOLEAN": "true",
    "l INET": "'10.0.0.0/8'",
    "m DATE": "'infinity'",
    "n REAL": "0.1",
    "o INTEGER GENERATED ALWAYS AS IDENTITY": "DEFAULT",
    "p BIGINT GENERATED ALWAYS AS (a % 10) STORED": "DEFAULT",
}


def test_every_type_is_exact(tables: Tables, engine: Engine) -> None:
    types = SQLITE if engine.dialect.name == "sqlite" else POSTGRESQL
    do(
        engine,
        f"CREATE TABLE odd (id INTEGER PRIMARY KEY, {', '.join(types)})",
        f"INSERT INTO odd VALUES (1, {', '.join(types.values())})",  # noqa: S608 - of this test
    )
    was = contents(engine, "odd")
    spec = tables.rows("tool", changes={"odd": {"id": "id"}})

    def take_back_after(statement: str) -> None:
        carry_out(spec, {"id": 1}, lambda: do(engine, statement)).take_back()
        assert contents(engine, "odd") == was

    take_back_after("DELETE FROM odd")
    take_back_after("UPDATE odd SET a = 1, b = 2, c = NULL, d = 3, e = NULL, f = NULL")
    take_back_after("UPDATE odd SET g = NULL, h = NULL, i = NULL")


def test_a_long_value_is_compared_by_its_hash(tables: Tables, engine: Engine) -> None:
    long = "UPDATE tickets SET title = '" + "x" * 5000 + "' WHERE id = 7"
    done = changed(tables, engine, long)
    assert done.after["tickets[7].title"]["length"] == 5002
    done.take_back()


def test_people_see_which_rows(tables: Tables) -> None:
    spec = tables.rows("tool", changes=TICKET)
    assert spec.preview is not None
    assert spec.preview({"ticket": 8}) == {"puts back": ["tickets[8]", "comments[1,8]"]}
    assert spec.resource == ("ticket",)


def test_other_databases_are_refused(empty_database_url: str) -> None:
    Tables(empty_database_url)
    from sqlalchemy.dialects import mysql

    other: Callable[..., Any] = type("Engine", (), {"dialect": mysql.dialect()})
    with pytest.raises(InvalidSetting, match="SQLite or PostgreSQL"):
        Tables(other())
