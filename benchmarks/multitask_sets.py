"""Data sets of ``multitask.py``: which rows and tasks, and the split that a seed draws.

A problem has rows to learn from, of which ``valid`` are held out while settings are chosen, and
rows to test on. A seed draws all three anew; tasks are fixed. Of a large set `MOST` rows are drawn
first; of more than 50 tasks 30 are drawn once. A task needs 20 labels outside its largest class.
X is standardised by the rows to learn from; images are divided by 255, counts of the `WORDS` most
frequent words there weighed by TF-IDF, other sparse X is left as it is.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from contestants import loaded
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import StandardScaler

MOST = 5000
VALID = 0.2  # of the rows to learn from
RARE = 20
WORDS = 2000
GROUPED = ("minilm_text", "minilm_ud", "wine_quality")  # rows of a group are on one side
ONE_LABEL_SET = ("landmine", "image_domains")
IMAGES, COUNTS = ("image_domains", "mnist", "multi_mnist", "omniglot"), ("newsgroups",)

#: Tasks with rows of their own. ``train``: share of the rows of each class of each task, or number
#: of rows of each task, or a list with the number of each class.
OWN_ROWS: dict = {
    "landmine": {"train": [54, 6], "most": 15_000},
    "image_domains": {"train": 0.3},
    "omniglot": {"train": 0.7},
    "newsgroups": {"train": 0.5},
}
#: Tasks on the same rows.
SAME_ROWS: dict = {
    "flags": {"train": 0.6},
    "student": {"train": 0.6},
    "wine_quality": {"train": 0.6},
    "water_quality": {"train": 0.6},
    "clintox": {"train": 0.6},
    "scene": {"train": 0.6},
    "yeast": {"train": 0.6},
    "medical": {"train": 0.6},
    "thyroid_l7": {"train": 0.6},
    "adult": {"train": 0.6},
    "tox21": {"train": 0.6},
    "minilm_ud": {"train": 0.6},
    "minilm_text": {"train": 0.6},
    "mnist": {"train": 0.6},
    "multi_mnist": {"train": 0.6},
    "bibtex": {"train": 0.6},
    "corel5k": {"train": 0.6},
    "delicious": {"train": 0.6},
    "imdb": {"train": 0.6},
    "muv": {"train": 0.6, "keep": 1},  # about 30 rows of class 1 in each task
}
#: A set of those with another split, or labels taken away from the rows to learn from: a share of
#: them at random, or all those of a share of the rows.
PROTOCOLS: dict = {
    "landmine-40": {"set": "landmine", "train": 40, "most": 15_000},
    "landmine-half": {"set": "landmine", "train": 0.5, "most": 15_000},
    "yeast-30": {"set": "yeast", "train": 0.6, "missing": 0.3},
    "yeast-60": {"set": "yeast", "train": 0.6, "missing": 0.6},
    "yeast-unlabelled": {"set": "yeast", "train": 0.6, "unlabelled": 0.5},
    "scene-unlabelled": {"set": "scene", "train": 0.6, "unlabelled": 0.5},
    "tox21-unlabelled": {"set": "tox21", "train": 0.6, "unlabelled": 0.5},
}
SETS = OWN_ROWS | SAME_ROWS | PROTOCOLS


@dataclass
class Problem:
    """Rows with labels (NaN for a gap), and positions of the rows for each use."""

    X: Any
    Y: np.ndarray
    task_names: list
    n_classes: list
    one_label_set: bool  # whether a label means the same in every task
    fit: np.ndarray  # learnt from while settings are chosen
    valid: np.ndarray  # chosen by
    test: np.ndarray
    task_of: np.ndarray | None  # of each row, where tasks have rows of their own

    @property
    def train(self):
        """All rows to learn from, once settings are chosen."""
        return np.sort(np.concatenate([self.fit, self.valid]))

    @property
    def n_tasks(self):
        return self.Y.shape[1]

    def labelled(self, rows, t):
        """Those of the rows that have a label of a task."""
        return rows[~np.isnan(self.Y[rows, t])]

    def judged(self):
        """Tasks with two classes among the rows learnt from and those tested on."""

        def has_two(rows, t):
            return len(np.unique(self.Y[self.labelled(rows, t), t])) > 1

        tasks = range(self.n_tasks)
        return [t for t in tasks if has_two(self.fit, t) and has_two(self.test, t)]


def draw(name, folder, seed, tiny=False):
    """The problem of a set, or of a protocol, for one seed."""
    how, set_name = SETS[name], SETS[name].get("set", name)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    data = loaded(set_name, folder)
    tasks = _tasks(data)
    Y = data.Y[:, tasks].astype(float)
    most = 600 if tiny and "most" not in how else how.get("most", MOST)
    if data.task_id is None:
        group = np.asarray(data.groups) if set_name in GROUPED else np.arange(len(Y))
        rows = _pool(Y, most, how.get("keep"), rng)
        learn, test = _cut(rows, group, how["train"], rng)
        fit, valid = _cut(learn, group, 1 - VALID, rng)
    else:  # of each class of each task alike
        stratum = data.task_id.astype(int) * 1000 + np.nanmax(Y, axis=1).astype(int)
        rows, _ = _cut_strata(np.arange(len(Y)), stratum, min(1, most / len(Y)), rng)
        learn, test = _cut_strata(rows, stratum, how["train"], rng)
        fit, valid = _cut_strata(learn, stratum, 1 - VALID, rng)
    if "missing" in how:
        Y[learn] = np.where(rng.random((len(learn), len(tasks))) < how["missing"], np.nan, Y[learn])
    if "unlabelled" in how:
        Y[fit[rng.random(len(fit)) < how["unlabelled"]]] = np.nan
    kept = np.sort(np.concatenate([learn, test]))
    X = _prepared(data.X[kept], np.searchsorted(kept, learn), set_name)
    return Problem(
        X=X,
        Y=Y[kept],
        task_names=[data.task_names[t] for t in tasks],
        n_classes=[data.n_classes[t] for t in tasks],
        one_label_set=set_name in ONE_LABEL_SET,
        **{
            n: np.searchsorted(kept, np.sort(r))
            for n, r in zip(USES, (fit, valid, test), strict=True)
        },
        task_of=None if data.task_id is None else data.task_id[kept],
    )


USES = ("fit", "valid", "test")


def _tasks(data):
    """Tasks with labels enough outside their largest class; of many, 30 of them."""
    if data.task_id is not None:
        return np.arange(data.Y.shape[1])
    codes = np.nan_to_num(data.Y, nan=-1).astype(int)
    counts = [np.bincount(column[column >= 0]) for column in codes.T]
    enough = [t for t, count in enumerate(counts) if count.sum() - count.max() >= RARE]
    if len(enough) > 50:
        enough = np.sort(np.random.default_rng(0).choice(enough, 30, replace=False))
    return np.asarray(enough)


def _pool(Y, most, keep, rng):
    """Rows drawn of a large set; those with a label of class ``keep`` are all among them."""
    order = rng.permutation(len(Y))
    if keep is not None:
        kept = (Y[order] == keep).any(axis=1)
        order = np.concatenate([order[kept], order[~kept]])
    return order[:most]


def _cut(rows, group, share, rng):
    """Two parts of the rows, no group in both."""
    groups = rng.permutation(np.unique(group[rows]))
    first = np.isin(group[rows], groups[: round(share * len(groups))])
    return rows[first], rows[~first]


def _cut_strata(rows, stratum, share, rng):
    """Two parts of the rows, each stratum in proportion, or with counts by class."""
    first = []
    for s in np.unique(stratum[rows]):
        own = rng.permutation(rows[stratum[rows] == s])
        if isinstance(share, list):
            n = share[s % 1000]
        elif share > 1:  # rows of the whole task
            n = share * len(own) / np.count_nonzero(stratum[rows] // 1000 == s // 1000)
        else:
            n = share * len(own)
        first.append(own[: max(1, round(n))])
    first = np.concatenate(first)
    return first, np.setdiff1d(rows, first)


def _prepared(X, learn, set_name):
    """X as float32, on the scale that its kind asks for."""
    if set_name in IMAGES:
        X = X / 255
    elif set_name in COUNTS:
        X = X[:, np.sort(np.argsort(-np.asarray(X[learn].sum(axis=0)).ravel())[:WORDS])]
        X = TfidfTransformer(sublinear_tf=True).fit(X[learn]).transform(X)
    elif not hasattr(X, "toarray"):
        X = StandardScaler().fit(X[learn]).transform(X)
    return X.astype(np.float32)
