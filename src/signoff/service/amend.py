"""An edit makes another revision of a request, judged by policy like the first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from signoff.domain.actions import Action, Context, ToolTraits, canonical, digest
from signoff.domain.agreement import both
from signoff.domain.deadlines import Silence
from signoff.domain.errors import InvalidEdit, NobodyCanApprove, PayloadRefused
from signoff.domain.policy import Policy, Ruling
from signoff.domain.requests import Edit, Request, RequestKind, Terms, shown
from signoff.domain.rules import Verdict
from signoff.domain.text import joined
from signoff.domain.timeline import escalated_by, narrowed
from signoff.ports import KnownTool, Store
from signoff.service.propose import terms_of
from signoff.service.reach import Directory, check_reach
from signoff.service.schema import problems


def amend(
    store: Store,
    policy: Policy,
    request: Request,
    edit: Edit,
    *,
    directory: Directory,
) -> Request:
    """The request as the edit would have it: another revision under its own rule."""
    tool = _tool(store, request, edit)
    try:
        canonical(edit.args, at="args")
    except PayloadRefused as error:
        raise InvalidEdit(request.id, (str(error),)) from error
    found = problems(edit.args, tool.schema)
    if found:
        raise InvalidEdit(request.id, found)
    if request.kind is RequestKind.GATE:
        return _revised(request, tool=request.tool, args=dict(edit.args))
    ruling = policy.decide(_edited_action(request, edit, tool))
    if ruling.verdict is Verdict.DENY:
        why = ruling.rule.reason or ruling.rule.label
        raise InvalidEdit(request.id, (f"policy denies the edited call: {why}",))
    amended = _revised(
        request,
        tool=tool.name,
        args=dict(edit.args),
        schema=tool.schema,
        description=tool.description,
        **_stricter_terms(request, ruling),
        note=joined(request.note, ruling.error),
        risk=_riskier(request, ruling),
        rule=request.rule if ruling.verdict is Verdict.ALLOW else ruling.rule.label,
        policy_version=ruling.policy_version,
    )
    if amended.terms.agreement == request.terms.agreement:
        return amended
    with store.reading() as reading:
        reached = check_reach(reading, amended, ruling.rule, directory)
    if isinstance(reached, NobodyCanApprove):
        raise InvalidEdit(request.id, (str(reached).removesuffix("."),))
    return reached


def _revised(request: Request, **changes: Any) -> Request:  # noqa: ANN401 - fields
    amended = replace(request, revision=request.revision + 1, **changes)
    return replace(amended, digest=digest(shown(amended)))


def _tool(store: Store, request: Request, edit: Edit) -> KnownTool:
    name = request.tool if edit.tool is None else edit.tool
    with store.reading() as reading:
        known = {tool.name: tool for tool in reading.tools(request.agent or "")}
    if name in known:
        return known[name]
    if name == request.tool:
        return KnownTool(
            agent=request.agent or "",
            name=name,
            description=request.description,
            schema=request.schema,
            traits=ToolTraits(),
        )
    has = ", ".join(sorted(known)) or "none that were seen"
    raise InvalidEdit(request.id, (f"the agent has no tool {name!r}; it has: {has}",))


def _edited_action(request: Request, edit: Edit, tool: KnownTool) -> Action:
    context = Context(
        thread=request.thread,
        agent=request.agent,
        user=request.user,
        team=request.team,
    )
    return Action(
        context=context,
        message_id=request.id,
        call_id=str(request.revision + 1),
        tool=tool.name,
        args=edit.args,
        traits=tool.traits,
    )


def _stricter(request: Request, ruling: Ruling) -> Terms:
    """The terms of both rules together: an edit never makes approval easier."""
    terms = request.terms
    if ruling.verdict is Verdict.ALLOW:
        return terms
    new = terms_of(ruling.rule, error=ruling.error)
    offered = tuple(kind for kind in terms.decisions if kind in new.decisions)
    if not _YES.intersection(offered):
        takes = ", ".join(new.decisions)
        why = f"{ruling.rule.label} asks about it and takes only: {takes}"
        raise InvalidEdit(request.id, (f"nobody could approve the edited call: {why}",))
    return replace(
        new,
        agreement=both(terms.agreement, new.agreement),
        escalated=terms.escalated,
        denials=min(terms.denials, new.denials),
        self_approval=terms.self_approval and new.self_approval,
        decisions=offered,
        attempts=min(terms.attempts, new.attempts),
        idempotent=terms.idempotent and new.idempotent,
        valid_for=_shorter(terms.valid_for, new.valid_for),
    )


def _stricter_terms(request: Request, ruling: Ruling) -> dict[str, Any]:
    """The terms, and whom it escalates to: nobody that either rule leaves out."""
    terms, rule = _stricter(request, ruling), ruling.rule
    if ruling.verdict is Verdict.ALLOW:
        return {"terms": terms}
    if request.terms.on_expiry != terms.on_expiry:
        # Silence is yes only by both; a second span that was given stays given.
        asked = request.terms.on_expiry
        kept = asked if asked == Silence.ESCALATE.value else Silence.REJECT.value
        terms = replace(terms, on_expiry=kept)
    if rule.reviewers is None:
        return {"terms": replace(terms, escalated=request.terms.escalated)}
    names = escalated_by(rule)
    escalated = tuple(one for one in request.terms.escalated if one in names)
    return {
        "terms": replace(terms, escalated=escalated),
        "timeline": narrowed(request.timeline, names),
    }


def _shorter(one: int | None, other: int | None) -> int | None:
    spans = [span for span in (one, other) if span is not None]
    return min(spans) if spans != [] else None


def _riskier(request: Request, ruling: Ruling) -> str:
    ranks = ("critical", "high", "medium", "low")
    return min(request.risk, ruling.rule.risk.value, key=ranks.index)


_YES: Final = frozenset({"approve", "edit"})
