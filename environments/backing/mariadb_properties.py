"""`configuration.properties` of a MariaDB service: an allow-list, each value checked before the server sees it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from environments.backing import grants
from portal.errors import Invalid

_FLAGS = re.compile(r"[a-z_]{1,60}=(on|off|default)(,[a-z_]{1,60}=(on|off|default)){0,63}\Z")
_OPTIMIZER_FLAGS = """
    index_merge index_merge_union index_merge_sort_union index_merge_intersection index_merge_sort_intersection
    engine_condition_pushdown index_condition_pushdown derived_merge derived_with_keys firstmatch loosescan
    materialization in_to_exists semijoin partial_match_rowid_merge partial_match_table_scan subquery_cache mrr
    mrr_cost_based mrr_sort_keys outer_join_with_cache semijoin_with_cache join_cache_incremental join_cache_hashed
    join_cache_bka optimize_join_buffer_size table_elimination extended_keys exists_to_in orderby_uses_equalities
    condition_pushdown_for_derived split_materialized condition_pushdown_for_subquery rowid_filter
    condition_pushdown_from_having not_null_range_scan"""
_SQL_MODES = """
    ALLOW_INVALID_DATES ANSI_QUOTES EMPTY_STRING_IS_NULL ERROR_FOR_DIVISION_BY_ZERO HIGH_NOT_PRECEDENCE IGNORE_SPACE
    NO_AUTO_CREATE_USER NO_AUTO_VALUE_ON_ZERO NO_BACKSLASH_ESCAPES NO_ENGINE_SUBSTITUTION NO_UNSIGNED_SUBTRACTION
    NO_ZERO_DATE NO_ZERO_IN_DATE ONLY_FULL_GROUP_BY PAD_CHAR_TO_FULL_LENGTH PIPES_AS_CONCAT SIMULTANEOUS_ASSIGNMENT
    STRICT_ALL_TABLES STRICT_TRANS_TABLES TIME_ROUND_FRACTIONAL TRADITIONAL ANSI"""
_CHARSETS = (
    "utf8mb4",
    "utf8mb3",
    "utf8",
    "utf16",
    "utf32",
    "ucs2",
    "latin1",
    "latin2",
    "ascii",
    "binary",
    "cp1250",
    "cp1251",
)
_COLLATION = re.compile(r"[a-z0-9]+(_[a-z0-9]+){0,5}\Z")


def _number(low: int, high: int, unit: int = 1) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return str(value * unit)

    return read


def _switch(value: Any) -> str:
    if value in (True, 1, "ON", "on"):
        return "1"
    if value in (False, 0, "OFF", "off"):
        return "0"
    raise ValueError("true or false")


def _optimizer_switch(value: Any) -> str:
    text = str(value).replace(" ", "")
    if not _FLAGS.match(text) or any(part.split("=")[0] not in _OPTIMIZER_FLAGS.split() for part in text.split(",")):
        raise ValueError("the server's flags, such as rowid_filter=off,mrr=on")
    return text


def _sql_mode(value: Any) -> str:
    modes = [mode.strip().upper() for mode in str(value).split(",") if mode.strip()]
    if unknown := [mode for mode in modes if mode not in _SQL_MODES.split()]:
        raise ValueError(f"the server's modes, such as STRICT_TRANS_TABLES; not {unknown[0][:40]}")
    return ",".join(modes)


# Every one of them can also be changed while the server runs.
_SETTINGS: Mapping[str, Callable[[Any], str]] = {
    "max_allowed_packet": _number(1, 1024, 1024**2),  # MB
    "innodb_adaptive_hash_index": _switch,
    "optimizer_switch": _optimizer_switch,
    "optimizer_use_condition_selectivity": _number(1, 5),
    "sql_mode": _sql_mode,
    "table_definition_cache": _number(400, 8192),
    "table_open_cache": _number(10, 8192),
    "group_concat_max_len": _number(4, 2**30),
    "wait_timeout": _number(1, 31_536_000),
}
_DEFAULT_PACKET = 16  # MB
_STARTS_WITH = {"table_definition_cache": "400", "table_open_cache": "400"}  # see mariadb.py; the rest is MariaDB's own
_SCHEMA_DEFAULTS = ("default_charset", "default_collation")
_NOTHING_TO_DO = {"wsrep_sync_wait": "there is one server, so it is always in step"}


def check(properties: Any) -> Sequence[str]:
    """Warnings. Raises Invalid for what the server would not start with."""
    if not isinstance(properties, Mapping):
        raise Invalid("Give a mapping of names to values.", field="properties")
    grants.refuse_unknown(properties, (*_SETTINGS, *_SCHEMA_DEFAULTS, *_NOTHING_TO_DO), "properties")
    _values(properties)
    defaults(properties)
    return [f"{key} is ignored: {reason}." for key, reason in _NOTHING_TO_DO.items() if key in properties]


def arguments(properties: Mapping[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in _values(properties).items()]


def statements(properties: Mapping[str, Any]) -> list[str]:
    """The same for the server that runs already; what is not asked for goes back to what it would start with."""
    values = {name: _literal(value) for name, value in _values(properties).items()}
    return [f"SET GLOBAL {name} = {values.get(name) or _STARTS_WITH.get(name, 'DEFAULT')}" for name in _SETTINGS]


def defaults(properties: Mapping[str, Any]) -> tuple[str, str]:
    """Character set and collation of schemas; "" for the server's own."""
    charset, collation = (str(properties.get(key) or "") for key in _SCHEMA_DEFAULTS)
    if charset and charset not in _CHARSETS:
        raise Invalid(f"Allowed: {', '.join(_CHARSETS)}.", field="properties.default_charset")
    if collation and (not _COLLATION.match(collation) or (charset and collation.split("_")[0] != charset)):
        message = "Give the name of a collation of the character set, such as utf8mb4_unicode_ci."
        raise Invalid(message, field="properties.default_collation")
    return charset, collation


def _values(properties: Mapping[str, Any]) -> dict[str, str]:
    values = {}
    for name, read in _SETTINGS.items():
        default = _DEFAULT_PACKET if name == "max_allowed_packet" else None
        value = properties.get(name, default)
        if value is not None:
            try:
                values[name] = read(value)
            except ValueError as error:
                raise Invalid(f"Give {error}.", field=f"properties.{name}") from None
    return values


def _literal(value: str) -> str:
    return value if value.isdigit() else f"'{value}'"
