"""GET /docs: the document, readable. All of it comes from here: the page works on a machine without the internet, and nothing
of it runs that this service has not sent."""

import json
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.http.routes import Plain

router = APIRouter(route_class=Plain, include_in_schema=False)

BUNDLE = "fastapi_swagger.resources"
"""The package that carries Swagger UI; `uv.lock` pins which one."""
START = "start.js"
SETTINGS = {"url": "openapi.json", "dom_id": "#swagger-ui", "deepLinking": True, "validatorUrl": None}
"""No validator: it would be a server of another party, and would get the document."""
PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Filestore</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/{START}"></script>
</body>
</html>
"""
HEADERS = {
    # Swagger UI sets the style of single elements; everything else is loaded from here or not at all.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@router.get("/docs")
async def page(request: Request) -> Response:
    return Response(PAGE, media_type="text/html", headers=HEADERS)


@router.get(f"/docs/{START}")
async def start(request: Request) -> Response:
    return Response(f"SwaggerUIBundle({json.dumps(SETTINGS)});", media_type="text/javascript", headers=HEADERS)


@router.get("/docs/swagger-ui-bundle.js")
async def program(request: Request) -> Response:
    return Response(bundled("swagger-ui-bundle.js"), media_type="text/javascript", headers=HEADERS)


@router.get("/docs/swagger-ui.css")
async def style(request: Request) -> Response:
    return Response(bundled("swagger-ui.css"), media_type="text/css", headers=HEADERS)


@router.get("/docs/favicon-32x32.png")
async def icon(request: Request) -> Response:
    return Response(bundled("favicon-32x32.png"), media_type="image/png", headers=HEADERS)


@cache
def bundled(name: str) -> bytes:
    """Read once: the largest part has some megabytes."""
    return files(BUNDLE).joinpath(name).read_bytes()
