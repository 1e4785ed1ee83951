"""The client that others have published, as it is."""

import asyncio
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from schema.store.pool import make_pool
from tests.api.conftest import FrontOfTest, Tree
from tests.api.tus.helpers import files


class TusServer:
    """The application of a test as a server of its own thread and loop, to be stopped and started again."""

    def __init__(self, database: str, settings: Any, tree: Tree) -> None:
        self.database, self.settings, self.tree = database, settings, tree
        self.commands: Any = None

    @contextmanager
    def running(self, port: int = 0) -> Iterator[int]:
        ready = threading.Event()
        holder: dict[str, Any] = {}

        async def main() -> None:

            pool = make_pool(self.database, name="another-process", min_size=1, max_size=4)
            await pool.open()
            front = FrontOfTest(pool)
            object.__setattr__(front.services, "settings", self.settings)
            if self.commands is not None:
                front.commands.submissions = self.commands.submissions
            self.commands = front.commands
            server = holder["server"] = uvicorn.Server(
                uvicorn.Config(
                    front.app,
                    port=port,
                    log_level="critical",
                    lifespan="off",
                    http="httptools",
                    ws="none",
                    timeout_graceful_shutdown=1,
                )
            )
            serving = asyncio.create_task(server._serve())
            while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
                await asyncio.sleep(0.005)
            holder["port"] = server.servers[0].sockets[0].getsockname()[1]
            ready.set()
            await serving
            await pool.close()

        thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield holder["port"]
        finally:
            holder["server"].should_exit = holder["server"].force_exit = True
            thread.join(20)
            assert not thread.is_alive()


async def test_the_published_client_goes_on_after_the_server_was_stopped(
    front: FrontOfTest, tree: Tree, api_database: str, spool: Path
) -> None:
    content = os.urandom(50 * 1024 * 1024)
    server = TusServer(api_database, front.services.settings, tree)

    def upload() -> None:
        with server.running() as port:
            client = TusClient(
                f"http://127.0.0.1:{port}/v1/uploads", headers={"Authorization": f"Bearer {front.tokens['write']}"}
            )
            announced = {
                "backendMountId": str(tree.mount),
                "path": "big.bin",
                "filename": "big.bin",
                "filetype": "application/zip",
            }
            uploader = client.uploader(file_stream=io.BytesIO(content), chunk_size=7 * 1024 * 1024, metadata=announced)
            uploader.upload(stop_at=21 * 1024 * 1024)
            url = uploader.url
        assert url is not None
        with pytest.raises((TusUploadFailed, TusCommunicationError, OSError)):
            uploader.upload_chunk()
        with server.running(port):
            later = client.uploader(
                file_stream=io.BytesIO(content), chunk_size=20 * 1024 * 1024, url=url, upload_checksum=True
            )
            assert later.offset == 21 * 1024 * 1024
            later.upload()
            assert later.get_offset() == len(content)

    await asyncio.to_thread(upload)
    submission = server.commands.submissions[-1]
    assert len(server.commands.submissions) == 1
    assert (tree.folder / ".filestore" / "stage" / submission.request.id).read_bytes() == content
    assert (submission.request.path, submission.request.mime_type) == ("big.bin", "application/zip")
    assert files(spool) == []


async def test_the_published_client_uploads_an_empty_file(
    front: FrontOfTest, tree: Tree, address: tuple[str, int]
) -> None:
    def upload() -> None:
        client = TusClient(
            f"http://{address[0]}:{address[1]}/v1/uploads", headers={"Authorization": f"Bearer {front.tokens['write']}"}
        )
        client.uploader(
            file_stream=io.BytesIO(b""), metadata={"backendMountId": str(tree.mount), "path": "empty"}
        ).upload()

    await asyncio.to_thread(upload)
    assert front.commands.last.content == b"" and front.commands.last.request.path == "empty"
