"""The master key: made once, whole, for nobody else's eyes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingram_app.core.settings import Settings, SettingsWrong


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ThreadPoolExecutor(8) as processes:
        keys = set(processes.map(lambda _: Settings(data_dir=data).master_key_bytes(), range(8)))
    assert [len(key) for key in keys] == [32]
    assert [file.name for file in data.iterdir()] == ["master.key"]
    assert (data / "master.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("held", ["", "abcd", "no key at all", "00" * 31])
def test_a_file_that_a_crash_cut_short_is_no_key(tmp_path: Path, held: str) -> None:
    (tmp_path / "master.key").write_text(held)
    with pytest.raises(SettingsWrong, match="64 hex digits"):
        Settings(data_dir=tmp_path).master_key_bytes()
