"""Health and readiness, as probes read them."""

from typing import Literal

from api.http.shapes import JsonObject, Shape


class Health(Shape):
    status: Literal["ok"]


class Readiness(Shape):
    """`checks`: what each server and mount says."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: JsonObject
