"""The canonical form of a NASNet cell: one way to write down what a cell computes."""

from __future__ import annotations

from collections import Counter

_Pair = tuple[int, int]  # operation, the state that it reads
_Node = list[_Pair]  # a sum of two or more operations


def canonical_cell(
    cell: tuple[int, ...], *, skip: int, average: int, largest: int, identities: int, merges: bool
) -> tuple[int, ...]:
    """Return the one cell that stands for all that compute the same, if weights are paired and channels permuted.

    A cell is operation and state, twice a block; states 0 and 1 are its inputs, 2 and on its blocks. `skip`, `average`
    and `largest` are the indices of the operations without weights; `skip` is the identity on state `identities` and
    above (below, it is a convolution). `merges` says that blocks which others read are not concatenated. Cells are the
    same that differ

    - in the order of a block's two operations, or in the numbering of the blocks;
    - in how a sum is grouped: a block that is read once, and by an identity, adds its operations to its reader's;
    - in which comes first of two sums with nothing between them, as twice a state and its pools, twice its pools.

    Cells that are the same only as long as drop-path drops nothing are kept apart: an average of a sum is dropped as a
    whole, a sum of averages in parts. Up to two blocks all that remain are different networks: with ten operations 210
    of 400 cells of one block, and of 360,000 cells of two 73,033 normal and 73,045 reduction cells (75,705 where all
    blocks are concatenated). From three blocks on a few sums of pools may still be written in two ways.
    """
    nodes = {
        position // 4 + 2: [(cell[position], cell[position + 1]), (cell[position + 2], cell[position + 3])]
        for position in range(0, len(cell), 4)
    }
    if merges:
        readers = Counter(source for node in nodes.values() for _, source in node)
        for state in list(nodes):
            _merge(nodes, state, readers, skip)
        for state in nodes:
            _swap(nodes, state, readers, skip, average, largest, identities)
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


def _merge(nodes: dict[int, _Node], state: int, readers: Counter[int], skip: int) -> None:
    """Make a sum as long as it can be: it takes in the sums that it alone reads, once, through an identity."""
    merged: _Node = []
    for operation, source in nodes[state]:
        if operation == skip and source >= 2 and readers[source] == 1:
            merged += nodes.pop(source)
        else:
            merged.append((operation, source))
    nodes[state] = merged


def _swap(
    nodes: dict[int, _Node], state: int, readers: Counter[int], skip: int, average: int, largest: int, identities: int
) -> None:
    """Of two sums, one of a state taken twice and one of the first taken twice, do the smaller first if they commute.

    Sums of identities and averages are linear, and commute; twice the identity commutes with a maximum too.
    """
    (left, source), (right, other), *more = nodes[state]
    if more or source != other or source < 2 or readers[source] != 2:
        return
    (first, read), (second, also_read), *more = nodes[source]
    if more or read != also_read or read < identities:
        return
    inner, outer = sorted((first, second)), sorted((left, right))
    operations = {*inner, *outer}
    doubles = [skip, skip] in (inner, outer)
    commute = operations <= {skip, average} or (doubles and operations <= {skip, average, largest})
    if commute and outer < inner:
        nodes[source], nodes[state] = [(op, read) for op in outer], [(op, source) for op in inner]
        _swap(nodes, source, readers, skip, average, largest, identities)


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
    first = [old for old, node in ready.items() if node == smallest]
    if len(first) > 1:  # equal nodes that nobody reads are as good as each other
        read = {source for node in nodes.values() for _, source in node}
        first = [old for old in first if old in read] + [old for old in first if old not in read][:1]
    rests = []
    for chosen in first:
        others = {old: node for old, node in nodes.items() if old != chosen}
        rests.append(_ordered(others, {**numbers, chosen: state - 1}, state))
    return [smallest, *(rests[0] if len(rests) == 1 else min(rests))]
