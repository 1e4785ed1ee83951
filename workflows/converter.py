"""Payloads as JSON through pydantic's compiled validators.

The SDK makes a new converter for every workflow run; with the stock one each run would compile the validators of our
dataclasses anew, which costs more than the rest of a list. Here all runs of a process share one.
"""

from dataclasses import is_dataclass
from typing import Any

from pydantic import TypeAdapter
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
    """Leaves out what has its default: most fields of a request do, and a history holds half as many bytes. So the default of
    a payload's field never changes: what is stored without it would mean something else."""

    def to_payload(self, value: Any) -> Payload | None:
        plain = not is_dataclass(value) or isinstance(value, type)
        data = to_json(value) if plain else _adapter(type(value)).dump_json(value, exclude_defaults=True)
        return Payload(metadata={"encoding": self.encoding.encode()}, data=data)


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


_JSON = CompactJSON()


class SharedPayloadConverter(CompositePayloadConverter):
    def __init__(self) -> None:
        stock = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(_JSON if isinstance(c, JSONPlainPayloadConverter) else c for c in stock))


data_converter = DataConverter(payload_converter_class=SharedPayloadConverter)
