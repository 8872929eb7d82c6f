"""`python -m tests.conformance` tells every row to every system and writes the page."""

import sys

from tests.conformance.page import PAGE, observe, written

if __name__ == "__main__":
    PAGE.write_text(
        written(observe(lambda line: sys.stdout.write(f"{line}\n"))), encoding="utf-8"
    )
    sys.stdout.write(f"{PAGE.name} is written\n")
