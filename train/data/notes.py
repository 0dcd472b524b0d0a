"""What is worth saying about data, above all what was found and not used: one line a kind."""

SHOWN = 3
"""Number of examples of a kind."""


class Notes:
    """Collects what is worth saying about data while they are read."""

    def __init__(self) -> None:
        self._remarks: list[str] = []
        self._kinds: dict[str, list[str]] = {}

    def remark(self, text: str) -> None:
        """Notes a sentence."""
        self._remarks.append(text)

    def count(self, kind: str, item: object) -> None:
        """Notes one of many of a kind, which is described as what became of them."""
        self._kinds.setdefault(kind, []).append(str(item))

    def lines(self) -> tuple[str, ...]:
        """Returns one line for each sentence and for each kind, with its number and examples.

        Example:
            >>> notes = Notes()
            >>> notes.count(".heic files are not read", "cats/1.heic")
            >>> notes.lines()
            ('.heic files are not read: 1 (cats/1.heic)',)
        """
        kinds = []
        for kind, items in self._kinds.items():
            more = ", ..." if len(items) > SHOWN else ""
            kinds.append(f"{kind}: {len(items):,} ({', '.join(items[:SHOWN])}{more})")
        return (*self._remarks, *kinds)
