"""The dashboard shows metrics that a run exports, and all of them."""

import json
import re

import yaml

from cluster.metrics import COUNTERS, GAUGES, HISTOGRAMS
from tests.conftest import REPOSITORY

EXAMPLES = REPOSITORY / "examples" / "clusters"


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    dashboard = json.loads((EXAMPLES / "grafana_dashboard.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    shown = {name for query in queries for name in re.findall(r"ray_metagan_\w+", query)}
    exported = {f"ray_{name}_total" for name in COUNTERS} | {f"ray_{name}" for name in GAUGES}
    exported |= {f"ray_{name}_bucket" for name in HISTOGRAMS}
    assert shown == exported


def test_prometheus_reads_the_list_of_nodes_that_ray_keeps() -> None:
    config = yaml.safe_load((EXAMPLES / "prometheus.yaml").read_text())
    [job] = config["scrape_configs"]
    [source] = job["file_sd_configs"]
    assert source["files"] == ["/tmp/ray/prom_metrics_service_discovery.json"]
