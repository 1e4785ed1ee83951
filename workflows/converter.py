"""Payloads as JSON through pydantic's compiled validators.

The SDK makes a new converter for every workflow run; with the stock one each run would compile the validators of our
dataclasses anew, which costs more than the rest of a list. Here all runs of a process share one.
"""

from typing import Any

from pydantic_core import to_json
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)


class CompactJSON(PydanticJSONPlainPayloadConverter):
    """Leaves out what is None: the dataclasses have it as their default, and half of a request's fields mostly are."""

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": self.encoding.encode()}, data=to_json(value, exclude_none=True))


_JSON = CompactJSON()


class SharedPayloadConverter(CompositePayloadConverter):
    def __init__(self) -> None:
        stock = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(_JSON if isinstance(c, JSONPlainPayloadConverter) else c for c in stock))


data_converter = DataConverter(payload_converter_class=SharedPayloadConverter)
