"""What an operator's query may be: one SELECT over the one dataset. It is judged by the tree that DuckDB parses it into.

A connection that may touch no files and change no settings carries it out; this is the first wall, that is the second.
"""

import re
from collections.abc import Mapping
from typing import Any

from schema.errors import InvalidRequest

DATASET = "filestore_activity"
_TABLE_FUNCTIONS = frozenset(("range", "generate_series", "unnest"))
_REFUSED = re.compile(
    r"(pg_|duckdb_|ducklake_|postgres_|parquet_|read_|sniff_|json_execute|json_serialize|json_deserialize|sql_|query$|query_|nextval"
    r"|currval|current_(setting|query|database|schema|user|role|catalog)|session_user|user$|getenv|getvariable|set_config|write_"
    r"|in_search_path|txid_|version$|has_|inet_|enable_|disable_|summary$|glob$|test_|repeat_row|checkpoint|force_|add_|which_"
    r"|to_arrow|from_substrait|icu_|file|copy|which|variable|__|sleep|setseed|combine$|finalize$|stats$|vector_type|get_block"
    r"|current_(connection|transaction)|obj_desc|shobj_|col_desc|cast_to_type|create_sort_key|remap_|replace_type|make_type"
    r"|constant_or_null|parse_duckdb|format_pg|map_to_pg|variant_|is_histogram|timetz_byte|unpivot_list|error$)",
    re.IGNORECASE,
)
"""Functions that tell of the server, reach beyond the rows, wait, or are DuckDB's own tools"""
_BARE = [["current_user"], ["session_user"], ["user"], ["current_role"], ["current_catalog"], ["current_schema"]]
"""Functions that are called without parentheses, as columns are"""
_UNKNOWN_REFS = frozenset(("SHOW_REF", "BOUND_TABLE_REF", "DELIM_GET", "TABLE_REF"))


def check_query(tree: Mapping[str, Any]) -> None:
    """`tree`: what `json_serialize_sql` makes of the text. Raises InvalidRequest."""
    if tree.get("error"):
        message = str(tree.get("error_message", "it can not be parsed"))
        hint = "" if "Only SELECT" not in message else " Nothing else can be sent here."
        raise _refused(f"{message}.{hint}")
    statements = tree.get("statements", [])
    if len(statements) != 1:
        raise _refused("Send one statement.")
    _walk(statements[0], frozenset())


def _walk(part: Any, names: frozenset[str]) -> None:
    """`names`: those that a WITH around this part defines."""
    if isinstance(part, list):
        for one in part:
            _walk(one, names)
    if not isinstance(part, dict):
        return
    names |= _defined(part)
    _check(part, names)
    for held in part.values():
        _walk(held, names)


def _defined(part: Mapping[str, Any]) -> frozenset[str]:
    listed = part.get("cte_map")
    found = {str(one["key"]).lower() for one in listed.get("map", ())} if isinstance(listed, dict) else set()
    if isinstance(part.get("cte_name"), str):
        found.add(part["cte_name"].lower())
    if part.get("type") == "RECURSIVE_CTE_NODE" and isinstance(part.get("cte_name"), str):
        found.add(part["cte_name"].lower())
    return frozenset(found)


def _check(part: Mapping[str, Any], names: frozenset[str]) -> None:
    kind = str(part.get("type"))
    if kind in _UNKNOWN_REFS:
        raise _refused("DESCRIBE, SHOW and SUMMARIZE are not there.")
    if kind == "BASE_TABLE":
        _check_table(part, names)
    if kind == "TABLE_FUNCTION" and isinstance(part.get("function"), dict):
        name = str(part["function"].get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise _refused(f"The table function {name!r} is not there; only {', '.join(sorted(_TABLE_FUNCTIONS))} are.")
    elif "function_name" in part:
        _check_function(part)
    elif kind == "COLUMN_REF" and [name.lower() for name in part.get("column_names", ())][:1] in _BARE:
        raise _refused(f"The function {part['column_names'][0]!r} is not there.")


def _check_table(part: Mapping[str, Any], names: frozenset[str]) -> None:
    name = str(part.get("table_name", "")).lower()
    qualified = part.get("schema_name") or part.get("catalog_name") or part.get("at_clause")
    if qualified or name not in names | {DATASET}:
        raise _refused(f"There is no table {name!r} here; {DATASET} is the one there is.")


def _check_function(part: Mapping[str, Any]) -> None:
    name = str(part["function_name"])
    # DuckDB itself writes `main` before the function that a list in brackets is.
    qualified = part.get("catalog") or part.get("schema") not in (None, "", "main")
    if qualified or (_REFUSED.match(name) and name.lower() not in _TABLE_FUNCTIONS):
        raise _refused(f"The function {name!r} is not there.")


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(message, fields=[{"field": "sql", "message": "not allowed"}])
