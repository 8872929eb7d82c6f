"""Every system that the rows are told to, by name."""

from typing import Final

from tests.conformance.harness import Open
from tests.conformance.ours import Ours, OursByHand
from tests.conformance.upstream import Bare, Batched, PerCall

_ALL: Final[tuple[Open, ...]] = (Ours, OursByHand, PerCall, Batched, Bare)
SYSTEMS: Final = {one.name: one for one in _ALL}
OURS: Final = (Ours.name, OursByHand.name)
COLUMNS: Final = tuple(
    dict.fromkeys(one.column for one in (Ours, PerCall, Batched, Bare))
)
