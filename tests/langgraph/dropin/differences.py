"""LangChain's own tests that the strict mode fails on purpose, and for which reason.

`python -m tests.langgraph.dropin.differences` writes the list into docs/dropin.md.
"""

from __future__ import annotations

from typing import Final

from tests.support import ROOT

BEGIN: Final = "<!-- differences: begin -->"
END: Final = "<!-- differences: end -->"
PAGE: Final = ROOT / "docs" / "dropin.md"

STRICT: Final[dict[str, list[str]]] = {
    "A resume never decides: it wakes the thread, and the store says what then": [
        "test_human_in_the_loop_middleware_rejected_call_not_executed_and_stays_paired",
        "test_human_in_the_loop_middleware_edit_annotates_tool_result",
        "test_human_in_the_loop_middleware_approve_does_not_annotate",
        "test_human_in_the_loop_middleware_edit_executes_reviewers_call",
        "test_human_in_the_loop_middleware_edit_can_redirect_to_another_tool",
        "test_human_in_the_loop_middleware_edit_routes_on_executed_tool",
        "test_reused_tool_call_id_does_not_replay_a_previous_turns_edit",
        "test_per_call_resume_with_each_decision",
        "test_per_call_edit_leaves_validation_and_injected_args_to_the_tool",
        "test_per_call_pauses_once_per_gated_call_and_applies_answers_by_id",
        "test_per_call_rejects_a_bad_answer_without_saving_it",
        "test_per_call_same_tool_twice_routes_each_answer_to_its_own_call",
        "test_per_call_works_with_ainvoke",
        "test_per_call_retried_tool_is_not_reviewed_again_when_hitl_wraps_retry",
    ],
    "The gate stands where the call runs, so there is no `after_model` to call": [
        "test_human_in_the_loop_middleware_single_tool_accept",
        "test_human_in_the_loop_middleware_single_tool_edit",
        "test_human_in_the_loop_middleware_single_tool_rejection_reason",
        "test_human_in_the_loop_middleware_default_rejection_message",
        "test_human_in_the_loop_middleware_single_tool_respond",
        "test_human_in_the_loop_middleware_respond_disallowed",
        "test_human_in_the_loop_middleware_mixed_with_respond",
        "test_human_in_the_loop_middleware_true_allows_respond",
        "test_human_in_the_loop_middleware_multiple_tools_mixed_responses",
        "test_human_in_the_loop_middleware_multiple_tools_edit_responses",
        "test_human_in_the_loop_middleware_edit_with_modified_args",
        "test_human_in_the_loop_middleware_unknown_response_type",
        "test_human_in_the_loop_middleware_disallowed_action",
        "test_human_in_the_loop_middleware_mixed_auto_approved_and_interrupt",
        "test_human_in_the_loop_middleware_interrupt_request_structure",
        "test_human_in_the_loop_middleware_boolean_configs",
        "test_human_in_the_loop_middleware_sequence_mismatch",
        "test_human_in_the_loop_middleware_description_as_callable",
        "test_human_in_the_loop_middleware_preserves_tool_call_order",
        "test_human_in_the_loop_middleware_preserves_order_with_edits",
        "test_human_in_the_loop_middleware_preserves_order_with_rejections",
        "test_when_predicate_batch_fires_interrupt_when_true",
        "test_when_predicate_receives_correct_args",
    ],
    "Edits are read from the store, never from the graph's state": [
        "test_human_in_the_loop_middleware_edit_annotates_list_content",
        "test_human_in_the_loop_middleware_edit_annotates_command_result",
        "test_human_in_the_loop_middleware_edit_notice_is_not_duplicated",
        "test_human_in_the_loop_middleware_edit_annotates_async",
        "test_human_in_the_loop_middleware_edit_notice_is_customizable",
        "test_human_in_the_loop_middleware_edit_notice_can_be_disabled",
        "test_human_in_the_loop_middleware_edit_to_unknown_tool_raises",
        "test_a_turn_that_resolves_no_decisions_clears_the_previous_turns_edits",
        "test_async_turn_that_resolves_no_decisions_clears_the_previous_turns_edits",
        "test_recorded_edit_survives_a_later_tightening_of_allowed_decisions",
    ],
    "A pause carries ids of requests, and no `response_schema`: it takes no answer": [
        "test_per_call_interrupt_shows_the_call_and_the_answers_it_accepts",
    ],
    "Its arguments are rules of a policy, not attributes; `per_call` is the default": [
        "test_human_in_the_loop_middleware_initialization",
        "test_middleware_checks_interrupt_mode",
    ],
    "A call without an id is refused with signoff's own error": [
        "test_per_call_needs_a_tool_call_id",
    ],
}


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
