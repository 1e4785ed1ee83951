"""Everything that can be set from outside. The one module that reads the environment (faults.py alone beside it)."""

import os
import socket
import tempfile
from typing import Literal, get_args
from urllib.parse import quote

from pydantic import AliasChoices, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Level = Literal["debug", "info", "warning", "error"]
_FOR_DATA = ("/srv", "/mnt", "/media", "/data", "/dev/shm", "/tmp", "/var/tmp")  # noqa: S108


def default_spool() -> str:
    """As the XDG base directories have it: state that should survive a restart."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "filestore", "spool")


def default_timestore() -> str:
    return os.path.join(os.path.dirname(default_spool()), "timestore")


def settings_of_logs() -> tuple[str, str]:
    """Format and level. Read apart, and never refused: what is wrong with the other settings is said by the log."""
    level = os.environ.get("FILESTORE_LOG_LEVEL", "info")
    return os.environ.get("FILESTORE_LOG_FORMAT", "console"), level if level in get_args(Level) else "info"


def unusable(error: ValidationError) -> list[tuple[str, str]]:
    """Which settings can not be used, and why; never what they are, because some are secret."""
    found = error.errors(include_url=False, include_input=False)
    return [(".".join(map(str, one["loc"])), one["msg"]) for one in found]


def default_roots() -> str:
    """Where hosts keep data that is nobody's own, or what is temporary: nothing of the system, and no home."""
    return ":".join(dict.fromkeys([*_FOR_DATA, tempfile.gettempdir()]))


def default_keys() -> str:
    return os.path.join(os.path.dirname(default_spool()), "secrets.keys")


class Settings(BaseSettings):
    """Environment variables: FILESTORE_<NAME>, and the standard names of the servers we use."""

    model_config = SettingsConfigDict(env_prefix="FILESTORE_", frozen=True, extra="ignore", populate_by_name=True)

    database_url: str = "postgresql://filestore@127.0.0.1:5433/filestore"
    events_mode: Literal["redis", "inline"] = "redis"
    """`inline`: as though there were no Redis, whatever `redis_url` says."""
    redis_url: str = Field(
        "redis://127.0.0.1:6380/0",
        validation_alias=AliasChoices("REDIS_URL", "FILESTORE_REDIS_URL"),
        validate_default=True,
    )
    """`inline`, or nothing: no Redis; events stay in the feed."""
    sync_grace_seconds: float = Field(7200.0, ge=0)
    """For so long condemned contents of projects wait before they are deleted: longer than any upload lasts."""
    sync_collect_seconds: float = Field(86400.0, ge=0)
    """So often what nothing in a project needs is collected without anybody asking. 0: when a client asks."""
    sync_repack_share: float = Field(0.5, ge=0, le=0.9)
    """A pack of small contents in the cold store of which less is needed is written anew."""
    nats_url: str = Field("", validation_alias=AliasChoices("NATS_URL", "FILESTORE_NATS_URL"))
    """Where projects are hot, with its token as `nats://token@host:port`. Nothing: they are cold alone."""
    nats_secret: str = ""
    """The keys of all accounts of NATS come from it: then each tenant has an account of its own there."""
    nats_tenant_bytes: int = Field(-1, ge=-1)
    """What a tenant may have on NATS' disk. -1: as much as there is."""
    temporal_address: str = Field(
        "127.0.0.1:7233", validation_alias=AliasChoices("TEMPORAL_ADDRESS", "FILESTORE_TEMPORAL_ADDRESS")
    )
    temporal_namespace: str = Field(
        "default", validation_alias=AliasChoices("TEMPORAL_NAMESPACE", "FILESTORE_TEMPORAL_NAMESPACE")
    )
    temporal_ui_url: str | None = Field(
        None, validation_alias=AliasChoices("FILESTORE_TEMPORAL_UI_URL", "TEMPORAL_UI_URL")
    )
    """Where people find Temporal's pages"""

    host: str = "127.0.0.1"
    port: int = 8080
    worker_port: int = Field(8081, ge=0, le=65535)
    """Where the worker of this host answers /health, /ready and /metrics, on `host`; 0: nowhere."""
    host_id: str = Field(default_factory=socket.gethostname)
    """Which machine this is: local mounts are served where they lie."""
    spool_path: str = Field(default_factory=default_spool)
    """A folder of this host, durable, for bytes that are not on their mount yet."""
    backends_path: str | None = None
    """YAML or JSON file with mounts to register at start."""
    local_roots: str = Field(default_factory=default_roots)
    """Folders of this host, separated by colons: a local mount that a client asks for lies below one of them; an empty list
    refuses all. Mounts of `backends_path` are the operator's own, and lie anywhere."""
    endpoints_allowed: str = ""
    """Hosts, addresses and networks, separated by commas, that an S3 endpoint may be although they are loopback or link-local."""
    secrets_keys: str | None = Field(None, min_length=1)
    """`<id>:<32 bytes as base64>`, separated by commas: the keys that stored secrets are sealed with. The first one seals."""
    secrets_keys_path: str = Field(default_factory=default_keys)
    """A file with the same, a line each, where there is no `secrets_keys`. It is made when the first secret is stored."""
    secrets_env: str = "FILESTORE_SECRET_*"
    """Environment variables that a stored secret may refer to as `env:NAME`; separated by commas, `*` stands for anything."""
    secrets_folders: str = "/run/secrets"
    """Folders, separated by colons, with files that a stored secret may refer to as `file:/path`"""
    approvals_path: str | None = None
    """A JSON file with the acts that wait for other people, and whose; see docs/access.md. None: nothing waits."""
    bootstrap_token: str | None = None
    """An admin token that is made valid at start; only its hash is stored."""
    cors_origins: str = ""
    """Origins, separated by commas, whose pages may send requests with tokens from browsers. Nothing: none may."""
    docs: bool = True
    """Whether /docs and /openapi.json are there"""
    oidc_path: str | None = Field(None, min_length=1)
    """YAML or JSON file of issuers whose tokens (OpenID Connect) are taken, and what they are worth"""
    tenant_requests_per_second: float | None = Field(None, gt=0)
    """Of all tokens of a tenant together, to one API process, where the tenant has no rate of its own. None: no limit."""
    metrics: bool = True
    """Whether an API process answers /metrics; the worker and the consumers answer at ports of their own."""
    metrics_token: str | None = Field(None, min_length=1)
    """What a scraper has to send as Bearer to read /metrics. None: it is open, like health."""
    events_channel: str = "apphub:filestore"
    events_stream: str | None = Field(None, min_length=1)
    """A Redis stream that events are added to as well, for consumer groups. None: none."""
    events_stream_length: int = Field(100_000, ge=0)
    """About so many events are kept there; 0: all, until somebody trims it."""
    events_heartbeat_seconds: float = Field(15.0, gt=0)
    """A stream of events that has nothing to tell says so this often."""
    events_poll_seconds: float = Field(0.5, gt=0, le=1)
    """How often new events are looked for where Redis does not tell of them."""

    audit_seal_seconds: float = Field(2.0, gt=0)
    """How often the journal is sealed"""
    audit_copies: str | None = Field(None, min_length=1)
    """Where seals are copied to: a file of the host, or s3://bucket/prefix. None: nowhere."""
    audit_s3_endpoint: str | None = Field(
        None, validation_alias=AliasChoices("FILESTORE_AUDIT_S3_ENDPOINT", "AWS_ENDPOINT_URL")
    )
    audit_s3_region: str = Field("us-east-1", validation_alias=AliasChoices("FILESTORE_AUDIT_S3_REGION", "AWS_REGION"))
    audit_lock_days: int = Field(0, ge=0)
    """So long the bucket lets nobody remove a copy (Object Lock, compliance mode). 0: it is not asked for."""
    audit_reads: float = Field(0.0, ge=0, le=1)
    """Which share of the reads of content and of the journal stands in the journal. 1: all, and none is answered without."""
    webhooks_allowed: str = ""
    """Networks and hosts, separated by commas, that webhooks may be sent to besides https addresses of the open internet:
    `10.0.0.0/8`, `hooks.internal`. Plain http is allowed there, too."""

    consumers_port: int = Field(8082, ge=0, le=65535)
    """Where the process of the consumers answers /health, /ready and /metrics, on `host`; 0: nowhere."""
    metastore: bool = True
    """Whether records follow the nodes, and can be read and changed."""
    timestore: bool = True
    """Whether what happens is kept for analysis, and can be asked for."""
    timestore_path: str = Field(default_factory=default_timestore)
    """Where its Parquet files lie: a folder that all its processes share, or s3://bucket/prefix"""
    timestore_s3_endpoint: str | None = Field(
        None, validation_alias=AliasChoices("FILESTORE_TIMESTORE_S3_ENDPOINT", "AWS_ENDPOINT_URL")
    )
    timestore_s3_region: str = Field(
        "us-east-1", validation_alias=AliasChoices("FILESTORE_TIMESTORE_S3_REGION", "AWS_REGION")
    )
    timestore_s3_key: str | None = Field(
        None, validation_alias=AliasChoices("FILESTORE_TIMESTORE_S3_KEY", "AWS_ACCESS_KEY_ID")
    )
    timestore_s3_secret: str | None = Field(
        None, validation_alias=AliasChoices("FILESTORE_TIMESTORE_S3_SECRET", "AWS_SECRET_ACCESS_KEY")
    )
    timestore_memory_bytes: int = Field(512 * 2**20, ge=64 * 2**20)
    """For a query; for the consumer, too."""
    timestore_seconds: float = Field(20.0, gt=0)
    """A query that takes longer is given up."""
    timestore_rows_max: int = Field(10_000, ge=1)
    """Rows of an answer to a query of an operator."""
    timestore_compact_seconds: float = Field(900.0, gt=0)
    """How often small files are merged, and those removed that no snapshot has."""
    timestore_snapshots_hours: float = Field(24.0, ge=0)
    """How long a former state of the data can still be read."""

    archive_path: str | None = None
    """Where the journal is archived: a folder, or s3://bucket/prefix, whose endpoint, region and credentials are those of the
    environment (AWS_...). None: nowhere."""
    archive_seconds: float = Field(3600.0, gt=0)
    """How often what the journal has more is written there."""

    http_line_max_bytes: int = Field(32 * 1024, ge=1024)
    """Of the address in a request line. The longest path there can be takes 12 KiB of it."""
    http_head_max_bytes: int = Field(64 * 1024, ge=1024)
    """Of all headers of a request."""
    http_headers_max: int = Field(100, ge=16)
    http_head_seconds: float = Field(30.0, gt=0)
    """A head that is not complete by then is refused."""
    http_body_seconds: float = Field(60.0, gt=0)
    """A body that brings fewer than http_rate_min bytes per second over this time is refused."""
    http_write_seconds: float = Field(60.0, gt=0)
    """A client that takes fewer than http_rate_min bytes per second of its answer over this time is cut off."""
    http_rate_min: int = Field(100, ge=1)
    http_keep_alive_seconds: int = Field(75, ge=1)
    """How long an idle connection stays open: longer than proxies and pools keep theirs, which is 60 as a rule."""
    http_connections_max: int = Field(2000, ge=1)

    content_memory_bytes: int = Field(512 * 2**20, ge=64 * 2**20)
    """For all content on its way, in and out: a stream of a bucket takes up to 34 MiB of it, one of a disk 3."""
    content_wait_seconds: float = Field(10.0, gt=0)
    """How long a stream waits for its part of that before 503 OVERLOADED."""

    long_reads: int = Field(2, ge=1)
    """Reads at a time of those that take longer than a moment: lists of large trees, searches, scans of the journal."""
    read_wait_seconds: float = Field(10.0, gt=0)
    """How long such a read waits for its turn before 503 OVERLOADED."""
    read_seconds: float = Field(15.0, gt=0, le=20)
    """After so long it is given up: 503 OVERLOADED."""

    lanes: int = Field(2, ge=1, le=16)
    """Lists in flight per mount: while one is under way the next one gathers."""
    queue_max: int = Field(2000, ge=1)
    """Commands waiting per mount before 429."""
    path_wait_seconds: float = Field(10.0, ge=0)
    """How long a command waits for a path another one holds before 409 PATH_BUSY."""
    answer_wait_seconds: float = Field(300.0, ge=0)
    """How long a request waits for its outcome before 202."""
    apply_seconds: float = Field(5.0, gt=0)
    """Deadline of `apply` for a list: what is not done then goes on in a workflow of its own."""
    sweep_seconds: float = Field(60.0, gt=0)
    overdue_seconds: float = Field(15.0, gt=0)
    """A running command untouched for so long is resumed."""
    stage_max_age_seconds: float = Field(3600.0, ge=0)
    """A stage without a lock and without a live command is removed when it is older than this."""
    retention_days: int = Field(30, ge=0)
    """How long replaced and deleted content is kept."""
    keys_keep_days: float = Field(30, gt=0)
    """How long an idempotency key keeps its command and its answer, at least, once that has ended."""
    events_keep_days: float = Field(14, gt=0)
    """How long an event stays in the feed, at least; one that Redis has not had stays until it has."""
    operations_keep_days: float = Field(90, gt=0)
    """How long an operation and its items can be looked at and undone, at least, once it has ended."""
    drift_keep_days: float = Field(90, gt=0)
    """How long looks, findings that are closed, and reconciliations by hand can be looked at, at least, once they have ended."""
    prune_seconds: float = Field(3600.0, gt=0)
    purge_seconds: float = Field(3600.0, gt=0)
    """Between looks for what the trash of a mount keeps no longer."""
    """How often what is older is removed."""
    object_lock_seconds: float = Field(21600.0, gt=0)
    """Between proofs that a bucket with Object Lock keeps what is locked; and holds lock what has come since."""
    rollup_proof_seconds: float = Field(3600.0, gt=0)
    """How often the totals of each mount are compared with what its directories hold."""
    rollup_proof_directories: int = Field(20_000, ge=0)
    """How many directories each time; the next one goes on behind them. 0: all."""
    watch: bool = True
    """The watcher process of this host watches its local mounts"""
    watch_quiet_seconds: float = Field(0.5, gt=0)
    """A name is looked at once nothing has happened to it for so long; ..."""
    watch_rest_seconds: float = Field(3.0, gt=0)
    """... where a program has it open for writing, for so long; ..."""
    watch_longest_seconds: float = Field(15.0, gt=0)
    """... and so long after the first change in any case."""
    watch_unwatched_seconds: float = Field(900.0, gt=0)
    """How often directories that can not be watched are looked at"""
    watch_directories_max: int = Field(0, ge=0)
    """Directories that are watched at most, of all mounts of the host. 0: as many as the kernel allows."""
    notifications_token: str | None = Field(None, min_length=1)
    """What a store has to send as Bearer with notifications of buckets; it opens nothing else. None: an administrator's token."""
    notifications_stream: str | None = Field(None, min_length=1)
    """A Redis stream that the watcher takes such notifications from. None: they come by HTTP alone."""
    notifications_canary_seconds: float = Field(60.0, gt=0)
    """How often our canary object is written to buckets that have sent notifications."""
    upload_max_bytes: int = Field(5 * 2**40, gt=0)
    upload_keep_seconds: float = Field(86400.0, gt=0)
    """A resumable upload that got nothing for so long is removed."""
    uploads_open_max: int = Field(1000, ge=1)
    """Of one principal: uploads that are announced and neither complete nor given up nor expired."""
    uploads_open_bytes_max: int = Field(20 * 2**40, gt=0)
    """All that these have announced."""
    drain_seconds: float = Field(15.0, gt=0)
    """Between SIGTERM and exit: running work may finish."""
    sandbox: bool = False
    """Run workflows in Temporal's sandbox: on in the tests, off where milliseconds count."""
    log_format: Literal["console", "json"] = "console"
    """console or json"""
    log_level: Level = "info"
    """Of our own lines. One line per request and per command is `info`."""

    def workflow_url(self, workflow: str) -> str | None:
        """The page of a workflow in Temporal's UI."""
        if not self.temporal_ui_url:
            return None
        place = f"namespaces/{self.temporal_namespace}/workflows/{quote(workflow, safe='')}"
        return f"{self.temporal_ui_url.rstrip('/')}/{place}"

    @property
    def allowed_webhooks(self) -> list[str]:
        return [one.strip().lower() for one in self.webhooks_allowed.split(",") if one.strip()]

    @property
    def roots_of_mounts(self) -> list[str]:
        return [root for root in self.local_roots.split(":") if root]

    @property
    def origins(self) -> list[str]:
        return [one.strip() for one in self.cors_origins.split(",") if one.strip()]

    @property
    def variables_of_secrets(self) -> list[str]:
        return [one.strip() for one in self.secrets_env.split(",") if one.strip()]

    @property
    def folders_of_secrets(self) -> list[str]:
        return [folder for folder in self.secrets_folders.split(":") if folder]

    @property
    def allowed_endpoints(self) -> list[str]:
        return [one.strip().lower() for one in self.endpoints_allowed.split(",") if one.strip()]

    @field_validator("redis_url")
    @classmethod
    def _no_redis(cls, url: str, info: ValidationInfo) -> str:
        return "inline" if info.data.get("events_mode") == "inline" else url or "inline"
