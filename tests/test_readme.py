"""The code of README and guide runs and does what it says; the docs build runs the examples."""

import doctest
import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.compiled
@pytest.mark.filterwarnings("error")
def test_code_of_the_first_screen(capsys):
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    exec(compile(code, "README", "exec"), {})
    assert float(capsys.readouterr().out) > 0.9


@pytest.mark.compiled
def test_examples_of_the_guide():
    result = doctest.testfile(str(README.parent / "docs" / "guide.rst"), module_relative=False)
    assert result.attempted > 5 and result.failed == 0


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
