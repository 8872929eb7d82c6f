"""Takes the pictures of the documentation from the real inbox, in the demo's world.

.venv/bin/python scripts/screenshots.py [FOLDER]   writes into docs/img, or that folder
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, ViewportSize, sync_playwright

from signoff.demo.agent import REVIEWER
from signoff.demo.session import sign_in_link
from signoff.demo.stage import Stage, open_stage
from signoff.demo.world import World
from signoff.inbox import make_app
from signoff.server import FromUrl, Server

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "img"
SIZE: Final[ViewportSize] = {"width": 1280, "height": 760}
MOST_BYTES: Final = 300_000


def main(folder: Path) -> int:
    """Take the pictures; 1 if one is too large for a page."""
    with tempfile.TemporaryDirectory() as made:
        world = World(Path(made))
        with open_stage(world, None) as stage:
            token = stage.token(REVIEWER, "finance")
            stage.go()
            with Server(stage.so, ui=FromUrl(make_app)) as server:
                link = sign_in_link(server.url, token)
                picture = _take(stage, link, folder / "inbox.png")
    size = picture.stat().st_size
    print(f"{picture}: {size:,} bytes")
    return int(size > MOST_BYTES)


def _take(stage: Stage, link: str, picture: Path) -> Path:
    payment = next(one for one in stage.waiting() if one.tool == "make_payment")
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser)
        page = chromium.new_page(viewport=SIZE)
        page.goto(f"{link}%3Frequest%3D{payment.id}")
        _wait_until_drawn(page)
        page.screenshot(path=picture)
        chromium.close()
    return picture


def _wait_until_drawn(page: Page) -> None:
    page.get_by_text("live", exact=True).wait_for()
    # Approve can be pressed only after its request was on screen for a moment.
    approve = page.get_by_role("button", name="Approve", disabled=False)
    approve.first.wait_for()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES))
