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
    "calendar",
    "deny",
    "escalation",
    "hold",
    "quorum",
    "review",
    "reversible",
}
METHODS = {
    "advise": "(*, since, agent=None, at_most=0.02, least=100)",
    "agreement": "(request_id)",
    "allowed": "(action, ruling)",
    "assign": "(request_id, *, to, by)",
    "audit": "()",
    "authenticate": "(secret, *, channel)",
    "begin": "(request, *, action=None, ruling=None)",
    "begin_again": "(entry, *, raised=False)",
    "begin_allowed": "(action)",
    "cancel": "(name, *, by, reason='')",
    "cancel_request": "(request_id, *, by, reason)",
    "changed": "()",
    "close": "()",
    "count": "(wanted=None)",
    "create_token": "(principal, *, kind=person, groups=(), expires_in=None, by=None)",
    "decide": "(request_id, decision, *, by, digest, behalf=None)",
    "declare_stages": "(thread, names)",
    "delegate": "(to, *, ends, by, starts=None, delegator=None, reason=None)",
    "delegations": "()",
    "deliver_due": "(outlets)",
    "deliveries": "(*, state=None, limit=100)",
    "done_waking": "(wakeup)",
    "entry_of": "(request)",
    "expire_due": "()",
    "find": "(start)",
    "dependents": "(entry_id)",
    "entry": "(entry_id)",
    "finish": "(entry, move, *, result, summary, output=None)",
    "close_window": "(entry_id, *, by, reason='')",
    "look_into": "(entry)",
    "hold_orphans": "(agents)",
    "open_windows": "(*, limit=100)",
    "orphans": "()",
    "saw_notices": "(thread, ids)",
    "undo_action": "(entry_id, *, by, reason='', force=False)",
    "undo_plan": "(entry_id=None, *, since=None, thread=None, only_dependents=False)",
    "undo_since": "(entry_id, *, by, reason='', only_dependents=False, force=False)",
    "undo_thread": "(thread, *, by, reason='', force=False)",
    "unknowns": "(*, limit=100)",
    "add_undo": "(spec)",
    "add_held": "(held)",
    "begin_held": "(action, *, ruling=None, needs=())",
    "cancel_held": "(entry_id, *, by, reason='')",
    "cancel_own": "(entry_id, *, thread, agent, reason='')",
    "expects_holds": "(policy=None)",
    "held_needs": "(action, *, ruling=None)",
    "offer_held": "(entry_id)",
    "release": "(entry_id, *, by)",
    "run_held": "(entry_id)",
    "stranded": "()",
    "agent_notices": "(thread)",
    "begin_reversible": "(action, asked, *, ruling=None)",
    "flush": "()",
    "join": "(other)",
    "get": "(request_id)",
    "history": "(request_id)",
    "journal": "(*, thread=None, state=None, limit=100)",
    "keep": "(kept_id, *, thread, stage, value)",
    "kept": "(kept_id)",
    "know_tools": "(tools)",
    "known_pauses": "(action)",
    "lent_to": "(person)",
    "lift": "(pause_id, *, by)",
    "look_again": "(entry)",
    "lose_turns": "()",
    "next_delivery": "(outlets)",
    "next_due": "()",
    "now": "()",
    "pause": "(*, by, agent=None, thread=None, tool=None, reason=None)",
    "pauses": "(*, active=True)",
    "pauses_on": "(action)",
    "pending": "(wanted=None)",
    "policy_log": "(*, limit=100)",
    "policy_version": "(start)",
    "propose": "(action, asked, *, ruling=None)",
    "publish": "(policy)",
    "put_off": "(wakeup, error)",
    "retry_delivery": "(delivery_id)",
    "revoke_delegation": "(delegation_id, *, by)",
    "revoke_token": "(token_id, *, by=None)",
    "rule": "(action)",
    "run_due": "()",
    "settle": "(entry, *, happened=None, note='', by, result=None, again=False)",
    "simulate": "(policy, *, since, agent=None, seconds_per_decision=None, examples=3)",
    "stages": "(thread)",
    "stall": "(action, tool=None)",
    "stalled": "()",
    "standing": "(action_id)",
    "sweep": "()",
    "thread": "(thread)",
    "tokens": "()",
    "tools": "(agent=None)",
    "votes": "(request_id)",
    "wake_freed": "()",
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
    made = (
        "(url, *, policy=None, lease=None, directory='tokens', clock=None, "
        "calendars=None, payloads=None, payload_key=None, payload_retention='1d')"
    )
    assert written(Signoff) == made.replace(
        "lease=None",
        f"lease={inspect.signature(Signoff).parameters['lease'].default!r}",
    )
    assert written(Policy) == "(rules, *, calendars=<factory>)"


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
