"""Payloads as JSON through pydantic's compiled validators.

The SDK makes a new converter for every workflow run; with the stock one each run would compile the validators of our
dataclasses anew, which costs more than the rest of a list. Here all runs of a process share one.
"""

from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)

_JSON = PydanticJSONPlainPayloadConverter()


class SharedPayloadConverter(CompositePayloadConverter):
    def __init__(self) -> None:
        stock = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(_JSON if isinstance(c, JSONPlainPayloadConverter) else c for c in stock))


data_converter = DataConverter(payload_converter_class=SharedPayloadConverter)
