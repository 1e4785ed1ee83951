"""pandas, pyarrow, DuckDB, polars and universal_pathlib read and write `filestore://` addresses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from filestore_sdk.fs import FilestoreFileSystem
from upath import UPath

from tests.fix_service import MountOfTest, Service

ROWS = 1_000
FRAME = pd.DataFrame(
    {"id": range(ROWS), "name": [f"n-{one}" for one in range(ROWS)], "part": [one % 3 for one in range(ROWS)]}
)


@pytest.fixture
def options(service: Service) -> dict[str, Any]:
    return {"endpoint": service.url, "token": service.token}


@pytest.fixture
def files(options: dict[str, Any]) -> FilestoreFileSystem:
    return FilestoreFileSystem(**options)


def test_pandas_writes_and_reads_tables(options: dict[str, Any], mount: MountOfTest) -> None:
    place = f"filestore://{mount.key}/tables"
    FRAME.to_csv(f"{place}/a.csv", index=False, storage_options=options)
    FRAME.to_parquet(f"{place}/a.parquet", storage_options=options)
    FRAME.to_json(f"{place}/a.jsonl", orient="records", lines=True, storage_options=options)
    pd.testing.assert_frame_equal(pd.read_csv(f"{place}/a.csv", storage_options=options), FRAME)
    columns = pd.read_parquet(f"{place}/a.parquet", columns=["name"], storage_options=options)
    assert list(columns["name"]) == list(FRAME["name"]) and list(columns.columns) == ["name"]
    assert len(pd.read_json(f"{place}/a.jsonl", lines=True, storage_options=options)) == ROWS
    assert sorted(mount.on_disk("tables")) == ["a.csv", "a.jsonl", "a.parquet"]


def test_pyarrow_writes_and_scans_a_partitioned_dataset(files: FilestoreFileSystem, mount: MountOfTest) -> None:
    table = pa.Table.from_pandas(FRAME)
    by_part = ds.partitioning(pa.schema([("part", pa.int64())]), flavor="hive")
    ds.write_dataset(table, f"{mount.key}/set", filesystem=files, format="parquet", partitioning=by_part)
    found = ds.dataset(f"{mount.key}/set", filesystem=files, format="parquet", partitioning=by_part)
    assert len(found.files) == 3
    assert found.count_rows() == ROWS
    assert found.count_rows(filter=ds.field("part") == 1) == 333
    names = pq.read_table(found.files[0], columns=["name"], filesystem=files)
    assert names.num_rows == 334 and names.column_names == ["name"]


@pytest.fixture
def duck(files: FilestoreFileSystem) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.register_filesystem(files)
        yield connection


def test_duckdb_copies_out_and_reads_by_glob(duck: duckdb.DuckDBPyConnection, mount: MountOfTest) -> None:
    place = f"filestore://{mount.key}/duck"
    for part in range(2):
        duck.execute(
            f"COPY (SELECT range AS id FROM range({part * 100}, {part * 100 + 100})) TO '{place}/{part}.parquet'"
        )
    duck.execute(f"COPY (SELECT 1 AS x, 'a' AS y) TO '{place}/t.csv' (HEADER)")
    assert duck.execute(f"SELECT count(*), max(id) FROM '{place}/*.parquet'").fetchall() == [(200, 199)]
    assert duck.execute(f"SELECT * FROM read_csv('{place}/t.csv')").fetchall() == [(1, "a")]


def test_polars_reads_what_it_wrote(files: FilestoreFileSystem, mount: MountOfTest) -> None:
    frame = pl.DataFrame({"id": range(ROWS), "half": [one / 2 for one in range(ROWS)]})
    with files.open(f"{mount.key}/p.parquet", "wb") as file:
        frame.write_parquet(file)
    with files.open(f"{mount.key}/p.parquet", "rb") as file:
        assert pl.read_parquet(file).equals(frame)
    scanned = pl.scan_pyarrow_dataset(ds.dataset(f"{mount.key}/p.parquet", filesystem=files))
    assert scanned.filter(pl.col("id") >= 990).select("half").collect()["half"].to_list() == [
        x / 2 for x in range(990, ROWS)
    ]


def test_universal_pathlib_walks_and_changes(options: dict[str, Any], mount: MountOfTest) -> None:
    top = UPath(f"filestore://{mount.key}", **options)
    (top / "d" / "e").mkdir(parents=True)
    assert (top / "d" / "a.txt").write_text("a") == 1
    (top / "d" / "e" / "b.bin").write_bytes(b"\x00b")
    assert sorted(one.name for one in (top / "d").iterdir()) == ["a.txt", "e"]
    assert [str(one.relative_to(top)) for one in top.glob("**/*.bin")] == ["d/e/b.bin"]
    assert (top / "d").is_dir() and (top / "d" / "a.txt").is_file() and not (top / "none").exists()
    assert (top / "d" / "a.txt").stat().st_size == 1
    (top / "d" / "a.txt").rename(top / "d" / "c.txt")
    assert (top / "d" / "c.txt").read_text() == "a"
    (top / "d" / "c.txt").unlink()
    assert mount.on_disk() == {"d": None, "d/e": None, "d/e/b.bin": b"\x00b"}


def test_a_cache_of_fsspec_serves_by_content(
    options: dict[str, Any], files: FilestoreFileSystem, mount: MountOfTest, tmp_path: Path
) -> None:
    files.pipe_file(f"{mount.key}/f", b"first")
    cached = fsspec.filesystem(
        "filecache",
        target_protocol="filestore",
        target_options=options,
        cache_storage=str(tmp_path / "cache"),
        check_files=True,
    )
    assert cached.cat_file(f"{mount.key}/f") == b"first"
    files.pipe_file(f"{mount.key}/f", b"other")
    assert cached.cat_file(f"{mount.key}/f") == b"other"
