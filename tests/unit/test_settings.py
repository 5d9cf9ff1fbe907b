"""The environment is read as written or not at all."""

import re
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError


def test_without_anything_it_is_closed_and_embedded() -> None:
    settings = Settings.from_environment({})

    assert settings.database_url is None
    assert settings.open_loopback is False
    assert settings.durability == "strict"
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)


def test_a_mistyped_name_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(SettingsError, match=r"PRICING_DATABSE_URL is not a setting.*PRICING_DATABASE_URL"):
        Settings.from_environment({"PRICING_DATABSE_URL": "postgresql://x"})


def test_other_programs_variables_are_not_ours() -> None:
    assert Settings.from_environment({"PATH": "/bin", "PRICE": "1", "pricing_port": "81"}).port == 81


def test_a_wrong_value_is_named_and_not_shown() -> None:
    with pytest.raises(SettingsError, match="PRICING_PORT") as refused:
        Settings.from_environment({"PRICING_PORT": "hunter2"})

    assert "hunter2" not in str(refused.value)


def test_secrets_do_not_show() -> None:
    settings = Settings.from_environment(
        {"PRICING_DATABASE_URL": "postgresql://u:hunter2@h/d", "PRICING_SIGNING_KEYS": "a:" + "s" * 32}
    )

    assert "hunter2" not in repr(settings)
    assert "ssss" not in repr(settings)


def test_signing_keys_are_kid_and_secret_the_first_signs() -> None:
    settings = Settings.from_environment({"PRICING_SIGNING_KEYS": f"new:{'n' * 32}, old:{'o' * 40}"})

    assert settings.load_signing_keys() == (("new", b"n" * 32), ("old", b"o" * 40))


@pytest.mark.parametrize("keys", ["", "abc", "a:short", f":{'x' * 32}", f"a b:{'x' * 32}", f"a:{'x' * 32},a:{'y' * 32}"])
def test_signing_keys_that_cannot_be_used_are_refused(keys: str) -> None:
    with pytest.raises(SettingsError, match="PRICING_SIGNING_KEYS"):
        Settings.from_environment({"PRICING_SIGNING_KEYS": keys})


def test_without_signing_keys_one_is_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")

    first = settings.load_signing_keys()

    assert settings.load_signing_keys() == first
    assert re.fullmatch("local-[0-9a-f]{8}", first[0][0])
    assert len(first[0][1]) >= 32
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["signing.key"]
    assert (tmp_path / "data" / "signing.key").stat().st_mode & 0o777 == 0o600
