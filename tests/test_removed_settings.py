"""Files that an earlier version wrote still load; nobody can set what was removed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from metagan.config import ConfigError, flat_settings, load_config, to_yaml
from metagan.removed_settings import REMOVED, drop_removed
from metagan.settings import RunConfig
from metagan.strict_yaml import format_value
from tests.helpers import tiny_config
from tune.config import SearchJobConfig


def with_removed(text: str, removed: Mapping[str, Any] = REMOVED) -> str:
    """A file of all settings as an earlier version wrote it."""
    for key, value in removed.items():
        section, _, name = key.rpartition(".")
        line = f"{name}: {format_value(value)}\n"
        if section:
            assert f"{section}:\n" in text
            text = text.replace(f"{section}:\n", f"{section}:\n  {line}", 1)
        else:
            text = line + text
    return text


def test_no_removed_setting_is_a_setting() -> None:
    assert not REMOVED.keys() & flat_settings(SearchJobConfig()).keys()


def test_a_kept_file_of_an_earlier_version_gives_the_same_settings(tmp_path: Path) -> None:
    file, config = tmp_path / "config.yaml", tiny_config(seed=7)
    file.write_text(with_removed(to_yaml(SearchJobConfig(**config.model_dump()))))
    assert load_config(RunConfig, file, kept=True, only_known=True).config == config


@pytest.mark.parametrize("key", REMOVED)
def test_a_kept_value_that_is_not_computed_with_any_more_is_refused(key: str) -> None:
    section, _, name = key.rpartition(".")
    values = {section: {name: "other"}} if section else {name: "other"}
    with pytest.raises(ValueError, match=rf"^runs/a/config.yaml: {key} is other, but this version"):
        drop_removed(values, "runs/a/config.yaml")


@pytest.mark.parametrize("key", REMOVED)
def test_setting_it_is_an_unknown_key_that_says_it_was_removed(key: str, tmp_path: Path) -> None:
    section, _, name = key.rpartition(".")
    value = format_value(REMOVED[key])
    hint = f"{key}: unknown key; the setting was removed, and its value is always {value}"
    with pytest.raises(ConfigError, match=hint):
        load_config(SearchJobConfig, None, [f"{key}={value}"])
    file = tmp_path / "mine.yaml"
    file.write_text(f"{section}:\n  {name}: {value}\n" if section else f"{name}: {value}\n")
    with pytest.raises(ConfigError, match=rf"mine.yaml:{2 if section else 1}: {hint}"):
        load_config(SearchJobConfig, file)
