"""``tests/oldest.txt``, with which ``make test-oldest`` runs, is what pyproject.toml allows."""

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def test_the_oldest_are_the_lower_bounds():
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = project["dependencies"] + [
        need for name in ("plot", "progress", "test") for need in extras[name]
    ]
    bounds = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(needed), re.MULTILINE))
    pinned = dict(
        re.findall(r"^([\w-]+)==([\d.]+)", (HERE / "oldest.txt").read_text(), re.MULTILINE)
    )
    assert pinned.keys() == bounds.keys()
    for name, bound in bounds.items():
        assert f"{pinned[name]}.".startswith(f"{bound}."), name
