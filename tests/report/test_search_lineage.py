"""Pages of searches whose settings change on the way."""

from pathlib import Path

from metagan.report.search_load import load_search
from metagan.workflow.report import write_search_report
from tests.report.pages import HOSTILE, Page, check_opens_offline
from tests.report.search_files import search_data, trial, write_search


def population(**confirmation: list[float]) -> dict:
    donor, taker = trial(1, 0.03), trial(2, 0.04)
    donor |= {"lineage": [{"step": 0, "trial": donor["id"], "sample": {"inner.lr": 2e-3}}]}
    donor |= {"changes": []}
    last = {"step": 50, "sample": {"inner.lr": 2.4e-3}}
    taker |= {
        "lineage": [*donor["lineage"], {"trial": taker["id"], **last}],
        "changes": [{"donor": donor["id"], **last}],
    }
    data = search_data([taker, donor], best=(0.02, 0.03), given=(0.01, 0.02))
    data["settings"] |= {"scheduler": "pbt", "exchange_every": 50, "exchange_fraction": 0.25}
    data["confirmation"] |= confirmation
    return data


def page_of(folder: Path) -> Page:
    return Page(write_search_report(folder, folder / "report.html").read_text("utf-8"))


def test_a_page_tells_the_schedule_and_what_it_gave_with_fresh_seeds(tmp_path: Path) -> None:
    page = page_of(write_search(tmp_path, population(schedule=[0.055, 0.045])))
    check_opens_offline(page)
    assert "<h2>Where settings changed</h2>" in page.source
    assert "<b>Schedule of the best trial.</b>" in page.source
    assert "1000 +1.00 +2.00 +1.00 +5.50" in page.text
    text = page.source.replace("\u00a0", " ")
    assert "every 50 outer steps a trial among the worst 25% continues" in text


def test_trials_and_changes_are_read_as_they_were_written(tmp_path: Path) -> None:
    taker, donor = load_search(write_search(tmp_path, population())).trials
    assert [(c.step, c.donor, c.sample) for c in taker.changes] == [
        (50, donor.id, {"inner.lr": 2.4e-3})
    ]
    assert [(s.step, s.trial) for s in taker.lineage] == [(0, donor.id), (50, taker.id)]
    assert donor.changes == ()


def test_a_page_without_changes_says_so_and_others_have_no_such_section(tmp_path: Path) -> None:
    still = population()
    still["trials"] = [trial(1, 0.03)]
    page = page_of(write_search(tmp_path / "still", still))
    assert "No trial continued from another one\u2019s weights." in page.text
    assert "Where settings changed" not in page_of(write_search(tmp_path / "asha")).source


def test_damaged_and_hostile_lineages_make_a_page(tmp_path: Path) -> None:
    data = population(schedule=[0.1])
    data["trials"][0]["lineage"] = [{"step": "x"}, 3, {"trial": HOSTILE, "sample": {"a": HOSTILE}}]
    data["trials"][0]["changes"] = "none"
    data["trials"][1]["changes"] = [{"donor": HOSTILE, "sample": {"inner.lr": HOSTILE}}]
    check_opens_offline(page_of(write_search(tmp_path, data)))
