"""What the search answered to a request."""

from __future__ import annotations

from autocompress.tui.model.run_state import RunState, Said


def answer_to(state: RunState, request_id: str) -> Said | None:
    """The answer that bears the request's id; None while there is none."""
    return next((said for said in reversed(state.said) if said.request_id == request_id), None)
