"""The canonical form of a NASNet cell: one way to write down what a cell computes."""

from __future__ import annotations

_Pair = tuple[int, int]  # operation, the state that it reads
_Node = list[_Pair]  # a sum of two or more operations


def canonical_cell(
    cell: tuple[int, ...], *, skip: int, average: int, largest: int, identities: int, merges: bool
) -> tuple[int, ...]:
    """Return the one cell that stands for all that compute the same, if weights are paired and channels permuted.

    A cell is operation and state, twice a block; states 0 and 1 are its inputs, 2 and on its blocks. `skip`, `average`
    and `largest` are the indices of these operations; `skip` is the identity on state `identities` and above (below, it
    is a convolution). `merges` says that blocks which others read are not concatenated. Equal are cells that differ

    - in the order of a block's two operations, or in the numbering of the blocks;
    - in how a sum is grouped: a block that is read once, and by an identity, adds its operations to its reader's;
    - in what comes first, pool or sum: an average of a sum of identities is the sum of averages, and so is the maximum
      of n times the same state. (With drop-path such networks differ: pools are dropped one by one.)

    Up to two blocks these are all equal networks there are. From three blocks on some equal ones are kept apart: pools
    of pools that could be shared between two readers, or equal pools of which one could stand for both.
    """
    nodes = {
        position // 4 + 2: [(cell[position], cell[position + 1]), (cell[position + 2], cell[position + 3])]
        for position in range(0, len(cell), 4)
    }
    if merges:
        _merge(nodes, skip, average, largest, identities)
    written: list[int] = []
    state = 2
    for first, second, *others in _ordered(nodes, {0: 0, 1: 1}, 2):
        written += [*first, *second]
        for pair in others:
            left, right = sorted([(skip, state), pair])
            written += [*left, *right]
            state += 1
        state += 1
    return tuple(written)


def _merge(nodes: dict[int, _Node], skip: int, average: int, largest: int, identities: int) -> None:
    """Make sums as long as they can be: a node takes in those that it alone reads, once, through an identity."""
    readers = [0] * (max(nodes) + 1)
    for node in nodes.values():
        for _, source in node:
            readers[source] += 1
    for state, node in list(nodes.items()):
        merged: _Node = []
        for operation, source in node:
            taken: _Node | None = None
            if source >= 2 and readers[source] == 1:
                inner = nodes[source]
                if operation == skip:
                    taken = inner
                elif all(inside == skip and s >= identities for inside, s in inner) and (
                    operation == average or (operation == largest and len(set(inner)) == 1)
                ):
                    taken = [(operation, s) for _, s in inner]
            if taken is None:
                merged.append((operation, source))
            else:
                merged += taken
                del nodes[source]
        nodes[state] = merged


def _ordered(nodes: dict[int, _Node], numbers: dict[int, int], state: int) -> list[tuple[_Pair, ...]]:
    """Return the nodes renumbered, each after those that it reads, in the smallest of all such orders.

    A node of n operations takes n - 1 states; `state` is the next that is free, `numbers` are the new states of nodes
    that are placed already.
    """
    if not nodes:
        return []
    ready = {
        old: tuple(sorted([(operation, numbers[source]) for operation, source in node]))
        for old, node in nodes.items()
        if all(source in numbers for _, source in node)
    }
    smallest = min(ready.values())
    state += len(smallest) - 1
    rests = []
    for old, node in ready.items():
        if node == smallest:
            others = {other: pairs for other, pairs in nodes.items() if other != old}
            rests.append(_ordered(others, {**numbers, old: state - 1}, state))
    return [smallest, *(rests[0] if len(rests) == 1 else min(rests))]
