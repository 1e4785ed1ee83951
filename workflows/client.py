"""Connect to Temporal."""

from temporalio.client import Client
from temporalio.service import GrpcCompression

from workflows.converter import data_converter


async def connect(address: str, namespace: str) -> Client:
    # Payloads are small and mostly stay on this machine: compressing them costs more than sending them.
    return await Client.connect(
        address, namespace=namespace, data_converter=data_converter, grpc_compression=GrpcCompression.NONE
    )
