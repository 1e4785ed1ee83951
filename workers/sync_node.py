"""The node agent: `python -m workers.sync_node PROJECT FOLDER`. A folder of this server follows a project of the service, and the
project follows the folder. It needs nothing but the service's address and a token: FILESTORE_URL, FILESTORE_TOKEN. SIGTERM ends it
with 0; whatever ends it, what it had not committed is committed when it starts again."""

import argparse
import asyncio
import os
import signal
import socket

import structlog

from workers.process import limits, logs
from workers.syncing.agent import NodeAgent
from workers.syncing.folder import NodeFolder
from workers.syncing.link import ServiceLink

log = structlog.get_logger("node")


async def serve(arguments: argparse.Namespace) -> None:
    link = ServiceLink(arguments.url, arguments.token, arguments.project, arguments.node)
    folder = NodeFolder(arguments.folder)
    node = NodeAgent(folder, link, quiet=arguments.quiet, rescan=arguments.rescan, keeps=arguments.keep_files)
    agent = asyncio.create_task(node.run())
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, agent.cancel)
    try:
        await agent
    except asyncio.CancelledError:
        log.info("stopped", process="node", pid=os.getpid())
    finally:
        await link.close()
        folder.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.sync_node", description=__doc__)
    parser.add_argument("project")
    parser.add_argument("folder")
    parser.add_argument(
        "--node", default=socket.gethostname(), help="this server's name in the project; its host name as a rule"
    )
    parser.add_argument("--url", default=os.environ.get("FILESTORE_URL", "http://127.0.0.1:8080"))
    parser.add_argument(
        "--quiet", type=float, default=0.004, help="seconds that a closed file rests before it is looked at"
    )
    parser.add_argument("--rescan", type=float, default=600.0, help="seconds between looks at everything")
    parser.add_argument(
        "--keep-files", action="store_true", help="leave the files in the folder when the project is deactivated"
    )
    arguments = parser.parse_args()
    arguments.token = os.environ.get("FILESTORE_TOKEN", "")
    if not arguments.token:
        parser.error("FILESTORE_TOKEN is not set")
    logs.settings()
    limits.raise_descriptors()
    log.info("started", process="node", pid=os.getpid(), project=arguments.project, folder=arguments.folder)
    asyncio.run(serve(arguments))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
