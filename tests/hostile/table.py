"""All cases, and the table of them in the documentation.

``python -m tests.hostile.table`` runs every case and writes ``docs/bad_inputs_table.inc``: one line
for each, with what must hold and what happened.
"""

import csv
import io
import re
import sys
from collections import Counter
from pathlib import Path

from tests.hostile import X_dense, X_sparse, calls, labels, numerics, parameters, weights
from tests.hostile.apart import Apart
from tests.hostile.case import run

GROUPS = {
    "X": [*X_dense.FORMS, *X_dense.NUMBERS, *X_dense.REFUSED],
    "Codes": X_dense.CODES,
    "Sparse X": [*X_sparse.FORMS, *X_sparse.NUMBERS, *X_sparse.REFUSED],
    "Labels": [*labels.RELABELLED, *labels.REFUSED, *labels.SERVED],
    "Weights": [*weights.FORMS, *weights.REFUSED],
    "Parameters": parameters.CASES,
    "Calls": [*calls.NOT_FITTED, *calls.WIDTH, *calls.GOES_ON, *calls.ARGUMENTS, *calls.SERVED],
    "Files": calls.FILES,
    "Functions": [*calls.FUNCTIONS, *calls.FUNCTIONS_APART],
    "Numerics": numerics.CASES,
}
#: Cases by group and input.
ALL = {(group, case.input): case for group, cases in GROUPS.items() for case in cases}
PATH = Path(__file__).parents[2] / "docs" / "bad_inputs_table.inc"
HEADER = ["Input", "What must hold", "Calls", "What happened"]


def happened_in(key, apart):
    """What happened in each call of a case."""
    return apart.run(key) if ALL[key].apart else run(ALL[key])


def line(key, happened):
    """A line of the table: of several things that happened the worst, with the first message."""
    worst = [h for h in happened.values() if not h.passes] or list(happened.values())
    message = re.sub(r"0x[0-9a-f]+", "0x...", worst[0].detail)
    message = re.sub(r"among \{.*?\}", "among {...}", message)  # a set, in any order
    message = re.sub(r"\s+", " ", message)
    if len(message) > 120:
        message = message[:117] + "..."
    return [*as_listed(key), str(len(happened)), ": ".join(filter(None, (worst[0].what, message)))]


def as_listed(key):
    """The part of a line that needs no run."""
    return [f"{key[0]}: {key[1]}", ALL[key].must]


def escaped(lines):
    """Cells in which nothing is markup."""
    return [[re.sub(r"([\\*`|_])", r"\\\1", cell) for cell in line] for line in lines]


def written(lines):
    """A table in reStructuredText."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(escaped(lines))
    rows = "".join(f"   {row}\n" for row in text.getvalue().splitlines())
    return (
        f".. csv-table:: {len(lines)} inputs\n   :header: {', '.join(HEADER)}\n"
        f"   :widths: 30, 30, 5, 35\n\n{rows}"
    )


def read(path=PATH):
    """The lines of the written table, as they are escaped."""
    rows = [row[3:] for row in path.read_text().splitlines()[4:]]
    return list(csv.reader(rows))


def main():
    apart, lines, outcomes = Apart(), [], Counter()
    for key in ALL:
        happened = happened_in(key, apart)
        outcomes.update(h.what for h in happened.values())
        lines.append(line(key, happened))
        if any(not h.passes for h in happened.values()):
            print(" | ".join(lines[-1]), file=sys.stderr)
    apart.close()
    PATH.write_text(written(lines))
    print(f"{len(lines)} inputs, {outcomes.total()} calls: {dict(outcomes)}")
    return sum(count for what, count in outcomes.items() if what not in ("worked", "clear error"))


if __name__ == "__main__":
    sys.exit(main() > 0)
