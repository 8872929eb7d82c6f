"""What the machines share: two processes on a database of their own, and a clock."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    run_state_machine_as_test,
)

from signoff import Rule, Signoff
from signoff.testing import MovableClock

Opener = Callable[[], AbstractContextManager[str]]
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
PHASES = [Phase.explicit, Phase.generate, Phase.shrink]


class Machine(RuleBasedStateMachine):
    """A real Signoff with two processes; the audit holds after every step."""

    opener: ClassVar[Opener]

    def __init__(self, rules: Sequence[Rule], lease: str) -> None:
        super().__init__()
        self.opened = type(self).opener()
        self.clock = MovableClock()
        url = self.opened.__enter__()
        self.processes = [
            Signoff(url, policy=rules, lease=lease, clock=self.clock) for _ in range(2)
        ]
        self.so = self.processes[0]

    def teardown(self) -> None:
        for so in self.processes:
            so.close()
        self.opened.__exit__(None, None, None)

    @invariant()
    def the_ledger_holds(self) -> None:
        found = self.so.audit()
        assert found.holds, found.breaks


@contextmanager
def copy_of(template: Path) -> Iterator[str]:
    """The address of a fresh SQLite database."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "signoff.db"
        file.write_bytes(template.read_bytes())
        yield f"sqlite:///{file}"


def run_on_sqlite(
    machine: type[Machine], template: Path, *, examples: int, steps: int
) -> None:
    """Run a machine, each example on a copy of this database."""
    run_on(machine, partial(copy_of, template), examples=examples, steps=steps)


def run_on(
    machine: type[Machine], database: Opener, *, examples: int, steps: int
) -> None:
    """Run a machine, each example on a database that is opened for it."""
    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"opener": staticmethod(database)}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=QUIET,
            phases=PHASES,
        ),
    )
