"""The Pareto front of several things: those that no other beats in value and in cost."""

from collections.abc import Sequence


def front_of(values: Sequence[float], costs: Sequence[float], *, sign: int) -> list[int]:
    """Things that no other matches in both value and cost and beats in one, cheapest first.

    Args:
        values: What is to be large (`sign` 1) or small (`sign` -1).
        costs: What is to be small, in the same order.
        sign: See `values`.

    Returns:
        Their places; equal ones are all on the front, in the order given.
    """
    cheapest = sorted(range(len(values)), key=lambda i: (costs[i], -sign * values[i]))
    front: list[int] = []
    for i in cheapest:
        last = front[-1] if front else None
        if (
            last is None
            or sign * (values[i] - values[last]) > 0
            or (values[i], costs[i]) == (values[last], costs[last])
        ):
            front.append(i)
    return front
