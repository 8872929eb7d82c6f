"""The server with the inbox, as a process of its own: `site.py DATABASE_URL`."""

import sys

from signoff import Signoff
from signoff.inbox import make_app
from signoff.server import FromUrl, serve


def main(database_url: str) -> None:
    """Serves until it is told to stop; its first line is its address."""

    def ready(url: str) -> None:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()

    serve(Signoff(database_url), port=0, ui=FromUrl(make_app), on_ready=ready)


if __name__ == "__main__":
    main(sys.argv[1])
