"""A policy of 100 rules: how long one decision takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.measure import microseconds, progress, save, table
from signoff import Policy, Rule, allow, review
from signoff.domain.actions import Action, Context

NAME: Final = "policy"
TARGET_US: Final = 50.0
REPEATS: Final = 5000


def rules() -> Policy:
    """40 exact names, 30 globs, 30 conditions; what an organisation might write."""
    exact = [allow(f"read_{n}") for n in range(40)]
    globs = [review(f"team{n}_*") for n in range(30)]
    limits = [
        review(f"pay_{n}", when=f"args.amount > {limit} && args.currency == 'EUR'")
        for n in range(10)
        for limit in (100, 1000, 10_000)
    ]
    found: list[Rule] = [*exact, *globs, *limits]
    return Policy(found)


CASES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "first rule, exact": ("read_0", {}),
    "40th rule, exact": ("read_39", {}),
    "70th rule, glob": ("team29_delete", {"what": "x"}),
    "1st of 3 conditions": ("pay_0", {"amount": 101, "currency": "EUR"}),
    "3rd of 3 conditions": ("pay_9", {"amount": 20_000, "currency": "USD"}),
    "last of 3 conditions": ("pay_9", {"amount": 1, "currency": "EUR"}),
    "a condition fails": ("pay_5", {"total": 5}),
    "no rule": ("launch_rockets", {"n": 3}),
}


def run() -> None:
    """Measure each kind of decision, print and save."""
    policy = rules()
    actions = {
        case: Action(
            context=Context(thread="t1", agent="a", user="u", team="x"),
            message_id="m1",
            call_id="c1",
            tool=tool,
            args=args,
        )
        for case, (tool, args) in CASES.items()
    }
    took = {case: _times(policy, action) for case, action in actions.items()}
    worst = max(took, key=lambda case: took[case]["median_us"])
    met = took[worst]["median_us"] <= TARGET_US
    new = _first_time(actions["no rule"])
    rows = [(case, t["median_us"], t["p99_us"]) for case, t in took.items()]
    table(("decision", "median us", "p99 us"), rows)
    print(f"first decision on a new tool name: {new} us, once per name and process")
    print(f"target: at most {TARGET_US:g} us: {'met' if met else 'MISSED'} ({worst})")
    save(
        NAME,
        {
            "rules": len(policy.rules),
            "worst": {"case": worst, **took[worst]},
            "target_us": TARGET_US,
            "met": met,
            "first_on_a_new_tool_name_us": new,
            "decisions": took,
        },
    )


def _times(policy: Policy, action: Action) -> dict[str, float]:
    progress(f"policy: {action.tool}")
    each = _measure(lambda: policy.decide(action), REPEATS)
    ordered = sorted(each)
    return {
        "median_us": microseconds(each),
        "p99_us": round(ordered[len(ordered) * 99 // 100] * 1e6, 2),
    }


def _first_time(action: Action) -> float:
    fresh = iter([rules() for _ in range(50)])
    return microseconds(_measure(lambda: next(fresh).decide(action), 50))


def _measure(work: Callable[[], object], repeats: int) -> list[float]:
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return took
