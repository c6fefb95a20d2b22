import os
import signal
from pathlib import Path

import pytest

from launcher.errors import Refused
from launcher.user import RunUser


def identity() -> list[int]:
    return [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), *os.getgroups()]


def test_work_is_done_without_any_right_of_root(nobody: RunUser) -> None:
    assert nobody.call(identity) == [65534] * 4
    assert os.geteuid() == 0


def test_root_cannot_be_had_back(nobody: RunUser) -> None:
    def climb() -> str:
        try:
            os.setuid(0)
        except PermissionError:
            return "refused"
        return "root again"

    assert nobody.call(climb) == "refused"


def test_what_is_done_before_still_has_the_rights(nobody: RunUser, tmp_path: Path) -> None:
    nobody.call(identity, before=lambda: (tmp_path / "by-root").touch())
    assert (tmp_path / "by-root").stat().st_uid == 0


def test_refusals_and_errors_of_the_system_come_back(nobody: RunUser, tmp_path: Path) -> None:
    def refuse() -> None:
        raise Refused("not today")

    with pytest.raises(Refused, match="not today"):
        nobody.call(refuse)
    (tmp_path / "secret").write_text("")
    (tmp_path / "secret").chmod(0o600)
    with pytest.raises(PermissionError):
        nobody.call((tmp_path / "secret").read_text)


def test_bugs_come_back_as_one_line(nobody: RunUser) -> None:
    with pytest.raises(Refused, match="unexpected ZeroDivisionError"):
        nobody.call(lambda: 1 // 0)


def test_killed_work_is_noticed(nobody: RunUser) -> None:
    with pytest.raises(Refused, match="was killed"):
        nobody.call(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_without_root_work_is_simply_done(me: RunUser) -> None:
    assert me.call(os.getpid) == os.getpid()


def test_reach_counts_every_parent(nobody: RunUser, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    tmp_path.chmod(0o700)
    assert not nobody.can("-x", tmp_path / "open")
    assert nobody.can("-r", Path("/etc/passwd"))
    assert not nobody.can("-w", Path("/etc/passwd"))
