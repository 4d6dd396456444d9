"""Which of several things no other one beats in value and in cost."""

from collections.abc import Sequence


def front_of(values: Sequence[float], costs: Sequence[float], *, sign: int) -> list[int]:
    """Those of which no other one is at least as good in both and better in one, cheapest first.

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
