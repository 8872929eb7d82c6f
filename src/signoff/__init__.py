"""signoff: the agent does the work, people approve the decisions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signoff.bootstrap import Signoff
    from signoff.domain.actions import Action, Context
    from signoff.domain.agreement import quorum
    from signoff.domain.calendars import calendar
    from signoff.domain.deadlines import escalation
    from signoff.domain.errors import NotApplied, SignoffError
    from signoff.domain.policy import Policy
    from signoff.domain.principals import Principal
    from signoff.domain.requests import (
        Approve,
        Edit,
        Reject,
        Request,
        Respond,
        Status,
    )
    from signoff.domain.rules import (
        Rule,
        Verdict,
        allow,
        deny,
        hold,
        reversible,
        review,
    )
    from signoff.ports import Filter

__version__ = "0.1.0"

__all__ = [
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
    "reversible",
    "review",
]

_HOME = {
    "Signoff": "bootstrap",
    "Action": "domain.actions",
    "Context": "domain.actions",
    "NotApplied": "domain.errors",
    "SignoffError": "domain.errors",
    "Principal": "domain.principals",
    "Filter": "ports",
    "Policy": "domain.policy",
    "calendar": "domain.calendars",
    "escalation": "domain.deadlines",
    "quorum": "domain.agreement",
    **dict.fromkeys(
        ("Rule", "Verdict", "allow", "deny", "hold", "review", "reversible"),
        "domain.rules",
    ),
    **dict.fromkeys(
        ("Approve", "Edit", "Reject", "Request", "Respond", "Status"),
        "domain.requests",
    ),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: storage alone costs 0.8 s."""
    if name not in _HOME:
        raise AttributeError(f"module 'signoff' has no attribute {name!r}")
    return getattr(import_module(f"signoff.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
