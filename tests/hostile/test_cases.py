"""Every case of every list: it works, or its error names the argument and what is wrong."""

import pytest

from tests.hostile import table
from tests.hostile.apart import Apart


@pytest.fixture(scope="module")
def apart():
    process = Apart()
    yield process
    process.close()


def marked(key):
    """Without a compiler the many fits of some groups take minutes."""
    slow = [pytest.mark.compiled] if key[0] in ("Numerics", "Weights") else []
    return pytest.param(key, marks=slow, id=f"{key[0]}: {key[1]}")


@pytest.mark.parametrize("key", [marked(key) for key in table.ALL])
def test_works_or_says_clearly_why_not(key, apart):
    happened = table.happened_in(key, apart)
    assert happened
    failures = {name: h for name, h in happened.items() if not h.passes}
    assert not failures, "\n".join(f"{n}: {h.what}: {h.detail}" for n, h in failures.items())


def test_the_table_is_of_this_list():
    listed = table.escaped([table.as_listed(key) for key in table.ALL])
    lines = table.read()
    assert [line[:2] for line in lines] == listed, "run python -m tests.hostile.table"
    for *_, what in lines:
        assert what.startswith(("worked", "clear error"))


def test_no_case_is_listed_twice():
    assert len(table.ALL) == sum(map(len, table.GROUPS.values()))
