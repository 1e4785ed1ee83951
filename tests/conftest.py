"""Resources, one file each. Everything is real: servers run as processes of the development stack, in a folder of their own."""

import os

# Settings come from the stack of this run alone, never from the shell that started it.
for _name in [
    n
    for n in os.environ
    if n.startswith(("FILESTORE_", "REDIS_", "TEMPORAL_", "AWS_", "NATS_")) and n != "TEMPORAL_CLI"
]:
    del os.environ[_name]

pytest_plugins = [
    "tests.collecting",
    "tests.sampling",
    "tests.fix_stack",
    "tests.fix_service",
    "tests.fix_s3",
    "tests.fix_s3_proxy",
    "tests.fix_s3_service",
    "tests.fix_webhooks",
    "tests.kills",
]
