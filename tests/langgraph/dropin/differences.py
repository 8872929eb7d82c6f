"""LangChain's own tests that the strict mode fails on purpose, and for which reason.

`python -m tests.langgraph.dropin.differences` writes the list into docs/dropin.md.
"""

from __future__ import annotations

from typing import Final

from tests.support import ROOT

BEGIN: Final = "<!-- differences: begin -->"
END: Final = "<!-- differences: end -->"
PAGE: Final = ROOT / "docs" / "dropin.md"

STRICT: Final[dict[str, list[str]]] = {}


def page() -> str:
    """The list as Markdown."""
    lines: list[str] = []
    for reason, names in STRICT.items():
        lines += [f"**{reason}** ({len(names)})", ""]
        lines += [f"- `{name}`" for name in names]
        lines.append("")
    return "\n".join(lines).strip()


def write() -> None:
    """Put the list where it stands on the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{page()}\n{END}{after}")


if __name__ == "__main__":
    write()
