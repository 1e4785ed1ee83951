"""The search attributes of our runs exist in Temporal's namespace: a start with one that does not is refused.

`make dev` and an administrator make them; a server that lets us gets those that a new release needs from us.
"""

from datetime import timedelta

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeIndexedValueType
from temporalio.service import RPCError

from workflows.commands.attributes import ALL

log = structlog.get_logger("temporal")

_PATIENCE = timedelta(seconds=5)
_TYPES = {
    SearchAttributeIndexedValueType.KEYWORD: (IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD, "Keyword"),
    SearchAttributeIndexedValueType.KEYWORD_LIST: (IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST, "KeywordList"),
}


async def make_sure(client: Client) -> None:
    """Best effort: where we may not, the log says what to ask an administrator for."""
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=_PATIENCE
        )
        missing = {key.name: _TYPES[key.indexed_value_type] for key in ALL if key.name not in known.custom_attributes}
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace, search_attributes={name: kind for name, (kind, _) in missing.items()}
                ),
                timeout=_PATIENCE,
            )
            log.info("search attributes made", names=sorted(missing))
    except RPCError as error:
        commands = " ".join(f"--name {key.name} --type {_TYPES[key.indexed_value_type][1]}" for key in ALL)
        log.warning(
            "search attributes could not be checked; they are made by: "
            f"temporal operator search-attribute create --namespace {client.namespace} {commands}",
            error=error.status.name,
        )
