"""The public names, pinned: a change here is a change for every user."""

import inspect

import pytest

import signoff
from signoff import Policy, Signoff
from tests.support import run_python

PUBLIC = {
    "Action",
    "Approve",
    "Context",
    "Edit",
    "Filter",
    "NotApplied",
    "Policy",
    "Principal",
    "Reject",
    "Request",
    "Respond",
    "Rule",
    "Signoff",
    "SignoffError",
    "Status",
    "Verdict",
    "allow",
    "deny",
    "hold",
    "review",
    "reversible",
}
METHODS = {
    "allowed": "(action, ruling)",
    "audit": "()",
    "authenticate": "(secret, *, channel)",
    "begin": "(request)",
    "begin_again": "(entry, *, raised=False)",
    "begin_allowed": "(action)",
    "cancel": "(request_id, *, by, reason)",
    "changed": "()",
    "close": "()",
    "count": "(wanted=None)",
    "create_token": "(principal, *, kind=person, groups=(), expires_in=None, by=None)",
    "decide": "(request_id, decision, *, by, digest)",
    "done_waking": "(wakeup)",
    "entry_of": "(request)",
    "expire_due": "()",
    "find": "(start)",
    "finish": "(entry, move, *, result, summary)",
    "flush": "()",
    "get": "(request_id)",
    "history": "(request_id)",
    "journal": "(*, thread=None, state=None, limit=100)",
    "know_tools": "(tools)",
    "look_again": "(entry)",
    "lose_turns": "()",
    "next_due": "()",
    "now": "()",
    "pending": "(wanted=None)",
    "propose": "(action, asked, *, ruling=None)",
    "publish": "(policy)",
    "put_off": "(wakeup, error)",
    "revoke_token": "(token_id, *, by=None)",
    "rule": "(action)",
    "run_due": "()",
    "settle": "(entry, *, happened, note='', by)",
    "standing": "(action_id)",
    "thread": "(thread)",
    "tokens": "()",
    "tools": "(agent=None)",
    "votes": "(request_id)",
    "wakeup": "(thread)",
    "wakeups": "(agent=None, *, ready=False)",
    "workforce": "()",
}


def written(member: object) -> str:
    """A signature without its types, as a user writes the call."""
    signature = inspect.signature(member)  # type: ignore[arg-type]
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    text = str(inspect.Signature(bare))
    return text.replace("<PrincipalKind.PERSON: 'person'>", "person")


def test_names() -> None:
    assert set(signoff.__all__) == set(dir(signoff)) == PUBLIC
    for name in PUBLIC:
        assert getattr(signoff, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Approval'"):
        _ = signoff.Approval


def test_methods() -> None:
    methods = {
        name: written(member)
        for name, member in inspect.getmembers(Signoff, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods == METHODS
    assert written(Signoff) == "(url, *, policy=None, lease=None, clock=None)".replace(
        "lease=None",
        f"lease={inspect.signature(Signoff).parameters['lease'].default!r}",
    )
    assert written(Policy) == "(rules)"


def test_every_public_name_has_a_docstring() -> None:
    missing = [name for name in PUBLIC if not getattr(signoff, name).__doc__]
    missing += [name for name in METHODS if not getattr(Signoff, name).__doc__]
    assert missing == []


def test_importing_costs_nothing_until_used() -> None:
    code = (
        "import sys, signoff, signoff.domain.policy\n"
        "heavy = {'sqlalchemy', 'langgraph', 'langchain', 'fastapi', 'streamlit'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = run_python(code)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
