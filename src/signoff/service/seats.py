"""By whose right somebody decides, read where the decision is made."""

from __future__ import annotations

from signoff.domain.errors import NotAllowed
from signoff.domain.principals import Principal
from signoff.domain.requests import Request
from signoff.domain.voting import Seat, check_person, lent_seat, own_seat
from signoff.ports import Reading


def seat_of(
    reading: Reading,
    request: Request,
    by: Principal,
    *,
    approving: bool,
    behalf: str | None = None,
) -> Seat:
    """The seat by which somebody decides: their own, else one that is lent to them.

    With `behalf` it is that person's or none.

    Raises:
        NotAllowed: They have none; with what would be needed.
    """
    try:
        if behalf is None:
            return own_seat(request, by, approving=approving)
    except NotAllowed:
        seat = _lent(reading, request, by, approving=approving)
        if seat is None:
            raise
        return seat
    seat = _lent(reading, request, by, approving=approving, behalf=behalf)
    if seat is None:
        why = f"{behalf} lends you no right that counts for {request.id} now."
        raise NotAllowed(by.id, why)
    return seat


def had_seat(
    reading: Reading,
    request: Request,
    by: Principal,
    *,
    approving: bool,
    behalf: str | None,
) -> bool:
    """Whether somebody has a seat, whatever was said on the request so far."""
    try:
        if behalf is None:
            own_seat(request, by, approving=approving)
            return True
    except NotAllowed:
        pass
    lent = [one for one in reading.lent_to(by.id) if behalf in {None, one.holder.id}]
    return lent_seat(request, by, lent, approving=approving) is not None


def seat_after(
    reading: Reading, amended: Request, by: Principal, before: Seat
) -> Seat | None:
    """By whose right an editor approves what the edit became, if by anybody's."""
    try:
        return seat_of(reading, amended, by, approving=True, behalf=before.behalf)
    except NotAllowed:
        return None


def _lent(
    reading: Reading,
    request: Request,
    by: Principal,
    *,
    approving: bool,
    behalf: str | None = None,
) -> Seat | None:
    check_person(request, by, approving=approving)
    lent = reading.lent_to(by.id)
    if behalf is not None:
        lent = [one for one in lent if one.holder.id == behalf]
    votes = reading.votes(request.id) if lent else ()
    return lent_seat(request, by, lent, votes, approving=approving)
