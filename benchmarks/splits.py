"""Folds of stacked labels beside plain K-fold: how far from proportion, and how long.

For each table of labels the largest distance of a fold's share of a (task, class) pair from
1 / n_folds, over the pairs with at least as many labels as folds; how often a fold lacks such a
pair; and the seconds for the folds. Tables differ in tasks, gaps, groups, and in how many
combinations of labels there are.
"""

import argparse
import time

import numpy as np
from sklearn.model_selection import GroupKFold, KFold

from skmtl.model_selection import MultiTaskKFold

N_FOLDS = 5
# Name: rows, tasks, classes, share of gaps, share of class 0 (the rest is even), rows a group.
TABLES = {
    "1e6 rows, 3 tasks": (1_000_000, 3, 4, 0.3, 0.25, None),
    "1e6 rows, 10 tasks": (1_000_000, 10, 2, 0.3, 0.5, None),
    "1e6 rows, 10 tasks, groups of 10": (1_000_000, 10, 2, 0.3, 0.5, 10),
    "1e6 rows, 20 tasks, most rows unlike": (1_000_000, 20, 2, 0.0, 0.5, None),
    "5000 rows, 20 tasks, rare classes": (5_000, 20, 10, 0.6, 0.98, None),
    "500 rows, 50 tasks, rare classes": (500, 50, 4, 0.3, 0.95, None),
    "500 rows, 50 tasks, groups of 5": (500, 50, 4, 0.3, 0.95, 5),
}


def labels(n_rows, n_tasks, n_classes, gaps, first, rows_a_group):
    """A table with gaps, and the group of each row or None."""
    rng = np.random.default_rng(0)
    Y = rng.integers(1, n_classes, (n_rows, n_tasks)).astype(np.float32)
    Y[rng.random(Y.shape) < first] = 0
    Y[rng.random(Y.shape) < gaps] = np.nan
    groups = None if rows_a_group is None else rng.integers(0, n_rows // rows_a_group, n_rows)
    return Y, groups


def judged(Y, fold):
    """Largest distance from proportion; how many (fold, pair) are empty that need not be."""
    worst = lacking = 0
    for column in Y.T:
        present = ~np.isnan(column)
        code = column[present].astype(int)
        count = np.zeros((N_FOLDS, code.max() + 1))
        np.add.at(count, (fold[present], code), 1)
        count = count[:, count.sum(axis=0) >= N_FOLDS]
        worst = max(worst, np.abs(count / count.sum(axis=0) - 1 / N_FOLDS).max())
        lacking += np.count_nonzero(count == 0)
    return worst, lacking


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", default=list(TABLES), help="names of tables")
    header = f"{'labels':38s}{'combinations':>12s}  {'folds':14s}"
    print(f"{header}{'distance':>9s}{'lacking':>9s}{'s':>7s}")
    for name in parser.parse_args().tables:
        Y, groups = labels(*TABLES[name])
        n_distinct = len(np.unique(np.nan_to_num(Y, nan=-1).astype(np.int8), axis=0))
        plain = KFold(N_FOLDS, shuffle=True, random_state=0)
        plain = plain if groups is None else GroupKFold(N_FOLDS)
        for cv in (MultiTaskKFold(N_FOLDS), plain):
            start = time.perf_counter()
            fold = np.empty(len(Y), dtype=int)
            for f, (_, test) in enumerate(cv.split(Y, Y, groups)):
                fold[test] = f
            seconds = time.perf_counter() - start
            worst, lacking = judged(Y, fold)
            row = f"{name:38s}{n_distinct:12d}  {type(cv).__name__:14s}"
            print(f"{row}{worst:9.4f}{lacking:9d}{seconds:7.1f}")


if __name__ == "__main__":
    main()
