"""Folders of caches: programs are loaded from them, so nobody else may write there."""

import os
import stat
import tempfile
from pathlib import Path

import pytest
from sccicl.runtime.environment import CACHE_VARIABLES, set_environment


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """Sets the environment as a new process would, with temporary files in `tmp_path`; returns the folder of caches."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def found() -> Path:
        for variable in CACHE_VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        set_environment()
        folders = {Path(os.environ[variable]).parent for variable in CACHE_VARIABLES}
        assert len(folders) == 1
        return folders.pop()

    return found


def test_own_folder_for_this_user_alone(caches, tmp_path):
    folder = caches()
    assert folder == tmp_path / f"cicl-cache-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) & 0o022 == 0
    assert caches() == folder


@pytest.mark.parametrize("made", ["others may write", "link", "of another user"])
def test_a_folder_of_others_is_not_used(caches, tmp_path, made, monkeypatch):
    expected = tmp_path / f"cicl-cache-{os.getuid()}"
    if made == "link":
        (tmp_path / "theirs").mkdir()
        expected.symlink_to(tmp_path / "theirs")
    else:
        expected.mkdir()
        expected.chmod(0o777 if made == "others may write" else 0o700)
    if made == "of another user":
        uid = os.getuid()
        os.getuid() == 0 and os.chown(expected, 12345, 12345)
        if expected.stat().st_uid == uid:
            pytest.skip("only root can make a folder of another user")
    folder = caches()
    assert folder != expected and folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.getuid()


def test_what_the_user_set_is_kept(caches, monkeypatch, tmp_path):
    for variable in CACHE_VARIABLES:
        monkeypatch.setenv(variable, "theirs")
    set_environment()
    assert {os.environ[variable] for variable in CACHE_VARIABLES} == {"theirs"}
    assert list(tmp_path.iterdir()) == []
