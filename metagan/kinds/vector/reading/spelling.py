"""Names of columns in a file that differ by case alone from those that are meant."""

from collections.abc import Collection, Sequence

from metagan.data.paths.names import a_few


def respelled(
    there: Sequence[str], meant: Collection[str], shown: str
) -> tuple[tuple[str, ...], list[str]]:
    """The names in a file as they are meant, and a note where they were spelled otherwise.

    Args:
        there: The file's own names, in its order.
        meant: The names that are looked for; one that the file has is taken as it is.
        shown: The file, for the note.
    """
    lacking = {name.casefold(): name for name in meant if name not in there}
    spelled = {
        name: lacking.pop(name.casefold())
        for name in there
        if name not in meant and name.casefold() in lacking
    }
    names = tuple(spelled.get(name, name) for name in there)
    if not spelled:
        return names, []
    pairs = [f"{name} as {wanted}" for name, wanted in spelled.items()]
    return names, [f"columns: {shown}: names match regardless of case: {a_few(pairs)}"]
