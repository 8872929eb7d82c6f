"""The scripted model: what it says next follows from the conversation alone."""

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from signoff.demo.model import TASK, next_message

DEEDS = ["make_payment", "send_email", "delete_file", "push_to_production"]


def _answered(
    conversation: list[BaseMessage], content: str, status: str = "success"
) -> list[BaseMessage]:
    """The conversation after the model spoke and every call got this answer."""
    said = next_message(conversation)
    answers = [
        ToolMessage(content, tool_call_id=call["id"], status=status)
        for call in said.tool_calls
    ]
    return [*conversation, said, *answers]


def _called(message: AIMessage) -> list[str]:
    return [call["name"] for call in message.tool_calls]


READS = ["list_files", "read_file", "read_file"]


def test_it_reads_before_it_proposes() -> None:
    conversation: list[BaseMessage] = [HumanMessage(TASK)]
    assert _called(next_message(conversation)) == [
        "list_files",
        "read_file",
        "read_file",
    ]
    assert _called(next_message(_answered(conversation, "text"))) == DEEDS


def test_a_new_task_in_the_same_conversation_starts_over() -> None:
    conversation = _answered(_answered([HumanMessage(TASK)], "text"), "Paid 1.")
    conversation = [*conversation, next_message(conversation), HumanMessage(TASK)]
    first = next_message(conversation)
    assert _called(first) == READS
    earlier = {
        call["id"] for m in conversation for call in getattr(m, "tool_calls", ())
    }
    assert earlier.isdisjoint(call["id"] for call in first.tool_calls)


def _report(content: str, status: str = "success") -> str:
    proposed = _answered([HumanMessage(TASK)], "text")
    return next_message(_answered(proposed, content, status)).text


def test_it_reports_what_was_done() -> None:
    report = _report("Paid 1,450.00 EUR to ACC Logistics (payment 1).")
    assert report.count("done. Paid 1,450.00 EUR") == len(DEEDS)
    assert "not done" not in report


def test_it_reports_a_rejection_as_not_done() -> None:
    report = _report("A reviewer rejected the call with reason: no\nMore.", "error")
    assert report.count("not done. A reviewer rejected the call with reason: no") == 4
    assert "More." not in report


def test_it_reports_an_edit_as_done_and_changed() -> None:
    report = _report("Note: changed.\n\nTool response:\nPaid 1,200.00 EUR to X.")
    assert (
        report.count("done. Paid 1,200.00 EUR to X. A reviewer changed it first.") == 4
    )


def test_it_reports_a_response_as_not_done() -> None:
    assert _report("I do it.").count("not done. A reviewer answered: I do it.") == 4
