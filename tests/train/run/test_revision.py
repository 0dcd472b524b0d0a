"""The commit of the checkout."""

import re
import subprocess

import pytest

from train.run.revision import git_revision


def test_revision_is_a_commit_or_none_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    revision = git_revision()
    assert revision is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", revision)

    def no_git(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert git_revision() is None
