"""For tests of applications that use signoff: time that moves, people who answer.

Add `pytest_plugins = ["signoff.testing.plugin"]` to a conftest.py for the fixtures.
"""

from signoff.testing.clock import MovableClock
from signoff.testing.reviewer import Answer, ScriptedReviewer

__all__ = ["Answer", "MovableClock", "ScriptedReviewer"]
