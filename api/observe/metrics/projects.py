"""What there is to measure of projects: on record, and of the contents that went through this process."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from activities.sync.traffic import Traffic
from schema.store.project_numbers import NumbersOfProject

_LABELS = ("tenant", "project")
_GAUGES: Mapping[str, str] = {
    "untold": "Number of revisions that the hot store was not told of, by project.",
    "files": "Number of files in the tree of the project.",
    "bytes": "Number of bytes in the tree of the project.",
    "conflicts": "Number of conflicts that nobody has decided, by project.",
    "unarchived": "Number of contents that are in the hot store alone, by project.",
    "lost": "Number of contents that both stores have lost, by project.",
    "lag": "Number of revisions that the node furthest behind has not followed, by project.",
    "waiting": "Number of changes that nodes have not committed yet, by project.",
    "dead_bytes": "Number of bytes of packs in the cold store that no content needs any more, by project.",
    "silent": "Number of nodes that were not heard of for half a minute, by project.",
}


def of_projects(numbers: Sequence[NumbersOfProject]) -> Iterator[Metric]:
    revisions = CounterMetricFamily("filestore_sync_revisions", "Number of revisions of the project.", labels=_LABELS)
    for one in numbers:
        revisions.add_metric((one.tenant, one.name), one.revision)
    yield revisions
    for name, help in _GAUGES.items():
        family = GaugeMetricFamily(f"filestore_sync_{name}", help, labels=_LABELS)
        for one in numbers:
            family.add_metric((one.tenant, one.name), getattr(one, name))
        yield family


def of_traffic(traffic: Traffic | None) -> Iterator[Metric]:
    put = CounterMetricFamily(
        "filestore_sync_put_bytes", "Number of bytes of contents that were put through this process."
    )
    read = CounterMetricFamily(
        "filestore_sync_read_bytes", "Number of bytes of contents that were read through this process, by store.",
        labels=("store",),
    )  # fmt: skip
    reads = CounterMetricFamily(
        "filestore_sync_reads", "Number of contents that were read through this process, by store.", labels=("store",)
    )
    if traffic is not None:
        put.add_metric((), traffic.put_bytes)
        for store in ("hot", "cold"):
            read.add_metric((store,), traffic.read_bytes[store])
            reads.add_metric((store,), traffic.reads[store])
    yield from (put, read, reads)
