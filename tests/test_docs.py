"""The documentation site builds, and its links resolve."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import repository


def test_the_site_builds_without_a_warning() -> None:
    builder = Path(sys.executable).with_name("zensical")
    done = subprocess.run(
        [builder, "build", "--strict"],
        cwd=repository(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (repository() / ".site/index.html").is_file()


def test_every_page_is_in_the_navigation() -> None:
    listed = set(
        re.findall(r": (\w+\.md)$", (repository() / "mkdocs.yml").read_text(), re.MULTILINE)
    )
    assert listed == {page.name for page in (repository() / "docs").glob("*.md")}


def test_links_of_the_top_level_pages_resolve() -> None:
    for page in ("README.md", "SECURITY.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (repository() / page).read_text()):
            assert (repository() / link).exists(), f"{page}: {link}"
