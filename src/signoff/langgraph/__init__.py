"""signoff for LangGraph and LangChain: four ways in.

agent = create_agent(model, tools, middleware=[SignoffMiddleware(so)], checkpointer=...)
builder.add_node("tools", guard_tools(so, tools))
plan = gate(so, "plan_review", make_plan)
Runner(so, agent, agent="support").start(...)
"""

from signoff.langgraph._attempts import idempotency_key
from signoff.langgraph._gate import GateTerms, Passed, agate, gate
from signoff.langgraph._heal import heal
from signoff.langgraph._held import cancel_held
from signoff.langgraph._middleware import SignoffMiddleware
from signoff.langgraph._notices import notices
from signoff.langgraph._remote import RemoteRunner
from signoff.langgraph._runner import Outcome, Runner
from signoff.langgraph._serving import App, Served, read_app, serving
from signoff.langgraph._stages import Stages
from signoff.langgraph._tools import guard_tools

__all__ = [
    "App",
    "GateTerms",
    "Outcome",
    "Passed",
    "RemoteRunner",
    "Runner",
    "Served",
    "SignoffMiddleware",
    "Stages",
    "agate",
    "cancel_held",
    "gate",
    "guard_tools",
    "heal",
    "idempotency_key",
    "notices",
    "read_app",
    "serving",
]
