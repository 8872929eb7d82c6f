"""An agent rewrites, moves and deletes real files; a person takes all of it back."""

import os
import tempfile
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition

from signoff import Principal, Signoff, reversible
from signoff.langgraph import Runner, guard_tools
from signoff.undo import Files

folder = Path(tempfile.mkdtemp())
work = folder / "work"


@tool
def write_file(path: str, text: str) -> str:
    """Write a file."""
    (work / path).parent.mkdir(parents=True, exist_ok=True)
    (work / path).write_text(text, encoding="utf-8")
    return f"Wrote {path}."


@tool
def move_file(source: str, target: str) -> str:
    """Move a file."""
    (work / source).rename(work / target)
    return f"Moved {source} to {target}."


@tool
def delete_file(path: str) -> str:
    """Delete a file."""
    (work / path).unlink()
    return f"Deleted {path}."


CALLS: list[dict[str, Any]] = [
    {"name": "write_file", "args": {"path": "run.sh", "text": "echo tidy\n"}},
    {"name": "move_file", "args": {"source": "notes.txt", "target": "old.txt"}},
    {"name": "write_file", "args": {"path": "made/new.txt", "text": "new\n"}},
    {"name": "delete_file", "args": {"path": "latest"}},
    {"name": "move_file", "args": {"source": "run.sh", "target": "old.txt"}},
]


def model(state: MessagesState) -> dict[str, Any]:
    """Stands in for a chat model: one call after the other, then a word."""
    done = sum(message.type == "tool" for message in state["messages"])
    calls = [{**call, "id": f"call_{done}"} for call in CALLS[done : done + 1]]
    return {"messages": [AIMessage("" if calls else "Tidy.", tool_calls=calls)]}


def look() -> dict[str, tuple[str, int, object]]:
    """Everything in the folder: its mode, its time, what is in it or where it leads."""
    found: dict[str, tuple[str, int, object]] = {}
    for path in [work, *sorted(work.rglob("*"))]:
        file = path.is_file() and not path.is_symlink()
        inside = path.readlink() if path.is_symlink() else file and path.read_bytes()
        at = path.lstat()
        name = path.relative_to(work).as_posix()
        found[name] = (oct(at.st_mode), at.st_mtime_ns, inside)
    return found


work.mkdir()
(work / "notes.txt").write_bytes(b"first\0\xff")
(work / "run.sh").write_text("echo first\n", encoding="utf-8")
(work / "run.sh").chmod(0o750)
(work / "latest").symlink_to("notes.txt")
for number, path in enumerate([*work.iterdir(), work]):
    at = 1_700_000_000_123_456_789 + number
    os.utime(path, ns=(at, at), follow_symlinks=False)
before = look()

so = Signoff(
    f"sqlite:///{folder / 'signoff.db'}", policy=[reversible("*_file", window="10m")]
)
files = Files(work)
so.add_undo(files.write("write_file"))
so.add_undo(files.move("move_file"))
so.add_undo(files.delete("delete_file"))

builder = StateGraph(MessagesState)
builder.add_node("model", model)
builder.add_node("tools", guard_tools(so, [write_file, move_file, delete_file]))
builder.add_edge(START, "model").add_conditional_edges("model", tools_condition)
builder.add_edge("tools", "model")
runner = Runner(so, builder.compile(checkpointer=InMemorySaver()), agent="cleaner")
runner.start({"messages": [("user", "Tidy up")]}, thread_id="t1", user="ana")
print(f"The agent left {', '.join(sorted(look()))}.")

run = so.undo_thread("t1", by=Principal(id="sam"), reason="I need these.")
for entry in run.done:
    print(f"{entry.tool}({entry.args}): {entry.state}, {entry.label}")
after = look()
so.close()
print(f"Back are {', '.join(sorted(after))}.")
print(f"Bytes, modes, times and links as before: {after == before}")
raise SystemExit(after != before)
