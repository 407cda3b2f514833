"""A queue that is fair to clients: they take turns, however much one of them asks."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """First come, first served within a client; between clients, one each in turn. Not locked: its owner does that."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Item]:
        """What waits, in the order in which it will be taken if nothing comes."""
        clients = [list(items) for items in self._waiting.values()]
        for turn in range(max(map(len, clients), default=0)):
            yield from (items[turn] for items in clients if turn < len(items))

    def count(self, client: str) -> int:
        """How many of a client wait."""
        return len(self._waiting.get(client, ()))

    def put(self, client: str, item: Item) -> None:
        """Let an item wait."""
        self._waiting.setdefault(client, deque()).append(item)

    def take(self) -> Item:
        """The next item. Its client comes last now.

        Raises:
            IndexError: nothing waits.
        """
        if not self._waiting:
            raise IndexError("nothing waits")
        client, items = self._waiting.popitem(last=False)
        item = items.popleft()
        if items:
            self._waiting[client] = items
        return item

    def remove(self, client: str, item: Item) -> bool:
        """Take an item out. Returns whether it waited."""
        items = self._waiting.get(client, deque())
        if item not in items:
            return False
        items.remove(item)
        if not items:
            del self._waiting[client]
        return True
