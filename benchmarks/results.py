"""Keep the parts of a benchmark: one JSON file each, with commit, settings and versions."""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


def part(benchmark, name, settings, run, redo=False):
    """Result of one part: from its file where the settings are the same, else of ``run()``."""
    result = None if redo else kept(benchmark, name, settings)
    if result is None:
        result = run()
        whole = {"commit": commit(), "settings": settings, "versions": versions()}
        path = FOLDER / benchmark / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(whole | {"result": result}) + "\n")
    return result


def kept(benchmark, name, settings):
    """Result of one part from its file, or None where there is none for these settings."""
    path = FOLDER / benchmark / f"{name}.json"
    if path.exists():
        whole = json.loads(path.read_text())
        if whole["settings"] == json.loads(json.dumps(settings)):
            return whole["result"]
    return None


def commit():
    """Short hash of the checkout, marked where the package or a benchmark has changes."""
    here = Path(__file__).parent

    def git(*arguments):
        run = ["git", *arguments]
        return subprocess.run(run, capture_output=True, text=True, cwd=here).stdout.strip()

    changed = git("status", "--porcelain", "--", "../skmtl", "*.py")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def versions():
    """Versions that may matter to a figure."""
    names = ("numpy", "scipy", "numba", "scikit-learn")
    return {name: version(name) for name in names} | {"python": platform.python_version()}
