"""Folds that keep each (task, class) pair in proportion."""

import numpy as np
import scipy.sparse as sp


def stratified_folds(codes, sizes, rng):
    """Assign rows to folds so that each (task, class) pair keeps its proportion in every fold.

    Rows with the same labels in all tasks form a group. Groups are taken rarest pair first; each
    gives every fold its whole-number part, and the remaining rows go one by one to the fold that
    still wants most of the rarest of their pairs, then most rows, then at random. This is
    iterative stratification [1]_ with whole groups dealt out at once.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_tasks)
        Integer labels, -1 for a gap.
    sizes : sequence of int
        Rows of each fold; they sum to n_rows and are met exactly.
    rng : numpy.random.Generator or None
        None deals rows out in their order and breaks ties towards the first fold.

    Returns
    -------
    fold : ndarray of shape (n_rows,)

    References
    ----------
    .. [1] Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML 2011.
    """
    n_rows, n_folds = len(codes), len(sizes)
    shares = [size / n_rows for size in sizes]
    offsets = _offsets(codes)
    patterns, group = _distinct_rows(codes)
    size = np.bincount(group, minlength=len(patterns))
    of_pattern, task = np.nonzero(patterns >= 0)
    pairs = offsets[task] + patterns[of_pattern, task]
    total = np.bincount(pairs, weights=size[of_pattern], minlength=offsets[-1])
    rarity = np.append(total, np.inf)[np.where(patterns >= 0, offsets[:-1] + patterns, -1)]
    order = np.argsort(rarity.min(axis=1, initial=np.inf), kind="stable")
    total_of = total.tolist()

    # Plain lists from here on: there may be as many patterns as rows, each with few numbers.
    rows_of = np.split(np.argsort(group, kind="stable"), np.cumsum(size)[:-1])
    first_of = np.searchsorted(of_pattern, np.arange(len(patterns) + 1)).tolist()
    wanted = [[n * share for n in total_of] for share in shares]  # [fold][pair]: rows still wanted
    wanted_rows = list(sizes)
    fold = np.empty(n_rows, dtype=np.int64)
    for g in order.tolist():
        held = pairs[first_of[g] : first_of[g + 1]].tolist()
        rows = rows_of[g] if rng is None or size[g] == 1 else rng.permutation(rows_of[g])
        whole = [0] * n_folds
        if len(rows) * max(shares) > 1 - 1e-6:
            whole = [int(len(rows) * share + 1e-9) for share in shares]
            whole = [min(n, room) for n, room in zip(whole, wanted_rows, strict=True)]
            _deal(whole, range(n_folds), held, wanted, wanted_rows)
        dealt = [f for f, n in enumerate(whole) for _ in range(n)]
        rarest = min(held, key=total_of.__getitem__, default=None)
        while len(dealt) < len(rows):
            desire = wanted_rows if rarest is None else [of_fold[rarest] for of_fold in wanted]
            f = _most_wanting(desire, wanted_rows, rng)
            _deal([1], [f], held, wanted, wanted_rows)
            dealt.append(f)
        fold[rows] = dealt
    return fold


def _deal(counts, folds, held, wanted, wanted_rows):
    for n, f in zip(counts, folds, strict=True):
        wanted_rows[f] -= n
        of_fold = wanted[f]
        for pair in held:
            of_fold[pair] -= n


def _most_wanting(desire, wanted_rows, rng):
    """The fold with room that desires most, then that wants most rows, then at random."""
    open_folds = [f for f, rows in enumerate(wanted_rows) if rows > 0]
    most = max([desire[f] for f in open_folds]) - 1e-9
    best = [f for f in open_folds if desire[f] >= most]
    if len(best) > 1:
        rows = max([wanted_rows[f] for f in best])
        best = [f for f in best if wanted_rows[f] == rows]
    return best[0] if len(best) == 1 or rng is None else best[rng.integers(len(best))]


def cover(codes, fold, n_folds):
    """Swap rows so that no fold lacks a pair that has as many labels as there are folds.

    The greedy deal may leave a rare pair out of a fold. Then a row with it, from the fold that
    has most of it, changes places with the row of most equal labels; neither may be the last of a
    pair in its fold. Where no such rows are, the fold stays without.
    """
    offsets = _offsets(codes)
    of_tasks = [
        np.bincount(fold[column >= 0] * n_codes + column[column >= 0], minlength=n_folds * n_codes)
        for column, n_codes in zip(codes.T, np.diff(offsets), strict=True)
    ]
    # A last column for the gaps, which are always enough.
    count = np.hstack([c.reshape(n_folds, -1) for c in (*of_tasks, np.full(n_folds, len(codes)))])
    due = count.sum(axis=0) >= n_folds
    due[-1] = False
    lacking = np.argwhere((due & (count == 0)).T)
    if not len(lacking):
        return fold
    fold = fold.copy()
    pairs = np.where(codes >= 0, offsets[:-1] + codes, offsets[-1])
    for pair, f in lacking:
        if count[f, pair]:  # an earlier swap brought one
            continue
        spare = ~(due & (count == 1))[fold[:, None], pairs].any(axis=1)
        givers = np.flatnonzero(spare & (pairs == pair).any(axis=1))
        takers = np.flatnonzero(spare & (fold == f))
        if len(givers) and len(takers):
            giver = givers[count[fold[givers], pair].argmax()]
            taker = takers[(codes[takers] == codes[giver]).sum(axis=1).argmax()]
            for row, there, here in ((giver, fold[giver], f), (taker, f, fold[giver])):
                count[there, pairs[row]] -= 1  # a row has a pair once, but for the gaps
                count[here, pairs[row]] += 1
            fold[giver], fold[taker] = f, fold[giver]
    return fold


def grouped_folds(codes, groups, shares, rng):
    """Assign groups of rows to folds so that each (task, class) pair keeps its proportion.

    With s_p the share of pair p's labels that a group holds, and w_pf the share of them that fold f
    still wants, the group goes to the fold with the greatest

        sum_p s_p w_pf

    which lowers sum_pf w_pf^2 most; all rows count as one more pair. Groups come in the order of
    their largest share of any pair.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_tasks)
        Integer labels, -1 for a gap.
    groups : ndarray of int, shape (n_rows,)
        The group of each row, 0 to n_groups - 1, none empty; at least as many as folds.
    shares : ndarray of shape (n_folds,)
        Share of each pair, and of the rows, that each fold wants; they sum to one.
    rng : numpy.random.Generator or None
        None breaks ties towards the first fold.

    Returns
    -------
    fold : ndarray of shape (n_rows,)
        No fold is empty.
    """
    offsets = _offsets(codes)
    row, task = np.nonzero(codes >= 0)
    pair = np.concatenate([offsets[task] + codes[row, task], np.full(len(codes), offsets[-1])])
    of_group = np.concatenate([groups[row], groups])
    held = sp.csr_array((np.ones(len(pair)), (of_group, pair)))  # (group, pair), sums
    total = np.maximum(held.sum(axis=0), 1)
    share = held.multiply(1 / total).tocsr()
    wanted = np.repeat(np.asarray(shares)[:, None], len(total), axis=1)
    order = np.argsort(-share.max(axis=1).toarray().reshape(-1), kind="stable")
    fold_of, empty = np.empty(len(order), dtype=np.int64), np.ones(len(shares), dtype=bool)
    for left, g in zip(range(len(order), 0, -1), order, strict=True):
        here = slice(held.indptr[g], held.indptr[g + 1])
        pairs = held.indices[here]
        desire = wanted[:, pairs] @ share.data[here]
        if left <= np.count_nonzero(empty):
            desire = np.where(empty, desire, -np.inf)
        best = np.flatnonzero(desire >= desire.max() - 1e-12)
        f = best[0] if len(best) == 1 or rng is None else rng.choice(best)
        wanted[f, pairs] -= share.data[here]
        fold_of[g], empty[f] = f, False
    return fold_of[groups]


def _offsets(codes):
    """Pair (t, c) has number ``offsets[t] + c``."""
    return np.concatenate([[0], np.cumsum(codes.max(axis=0, initial=-1) + 1)])


def _distinct_rows(codes):
    """Distinct rows in lexicographic order, and which of them each row is."""
    key = np.zeros(len(codes), dtype=np.int64)
    for column in codes.T:
        levels = int(column.max(initial=-1)) + 2
        if (int(key.max(initial=0)) + 1) * levels >= 2**62:
            key = np.unique(key, return_inverse=True)[1]
        key = key * levels + column + 1
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    return codes[first], group
