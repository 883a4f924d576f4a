"""Folds that keep each (task, class) pair in proportion."""

import numpy as np


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
    n_rows = len(codes)
    wanted_rows = np.array(sizes)
    shares = wanted_rows / n_rows
    offsets = np.concatenate([[0], np.cumsum(codes.max(axis=0, initial=-1) + 1)])
    patterns, group = np.unique(codes, axis=0, return_inverse=True)
    group = group.reshape(-1)
    of_pattern, task = np.nonzero(patterns >= 0)
    pairs = offsets[task] + patterns[of_pattern, task]
    held = np.split(pairs, np.cumsum((patterns >= 0).sum(axis=1))[:-1])  # pairs of each pattern
    size = np.bincount(group, minlength=len(patterns))
    total = np.bincount(pairs, weights=size[of_pattern], minlength=offsets[-1])
    wanted = np.outer(total, shares)  # (pair, fold): rows still wanted
    rarest = [pair[np.argmin(total[pair])] if len(pair) else -1 for pair in held]
    order = np.argsort([total[r] if r >= 0 else np.inf for r in rarest], kind="stable")
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(size)[:-1])

    fold = np.empty(n_rows, dtype=np.int64)
    for g in order:
        rows = members[g] if rng is None else rng.permutation(members[g])
        whole = np.minimum(np.floor(len(rows) * shares + 1e-9).astype(int), wanted_rows)
        chosen = np.repeat(np.arange(len(shares)), whole)
        wanted[held[g]] -= whole
        wanted_rows -= whole
        for _ in range(len(rows) - len(chosen)):
            desire = wanted[rarest[g]] if rarest[g] >= 0 else wanted_rows
            desire = np.where(wanted_rows > 0, desire, -np.inf)
            best = np.flatnonzero(desire >= desire.max() - 1e-9)
            best = best[wanted_rows[best] == wanted_rows[best].max()]
            f = best[0] if len(best) == 1 or rng is None else rng.choice(best)
            chosen = np.append(chosen, f)
            wanted[held[g], f] -= 1
            wanted_rows[f] -= 1
        fold[rows] = chosen
    return fold
