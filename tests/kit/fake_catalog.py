"""A Backstage and a PagerDuty to test against, as one HTTP server that can be told to fail."""

from __future__ import annotations

from typing import Any, Self

from aiohttp import web


class FakeCatalog:
    """Serves `entities` as Backstage does, `services` and `oncalls` as PagerDuty does; `status` other than 200 fails all."""

    def __init__(self) -> None:
        self.entities: list[dict[str, Any]] = []
        self.services: list[dict[str, Any]] = []
        self.oncalls: list[dict[str, Any]] = []
        self.status = 200
        self.url = ""
        self._runner: web.AppRunner | None = None

    def component(self, name: str, owner: str, **annotations: str) -> None:
        """Add a component."""
        metadata = {"name": name, "annotations": {key.replace("_", "/"): value for key, value in annotations.items()}}
        self.entities.append({"kind": "Component", "metadata": metadata, "spec": {"type": "service", "owner": owner}})

    def service(self, number: str, name: str, team: str, on_call: str) -> None:
        """Add a PagerDuty service with whoever is on call for it."""
        policy = {"id": f"E{number}", "summary": f"{team} policy"}
        self.services.append({"id": number, "name": name, "teams": [{"summary": team}], "escalation_policy": policy})
        self.oncalls.append({"escalation_level": 1, "escalation_policy": policy, "user": {"name": on_call}})

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/api/catalog/entities/by-query", self._answer("items", "entities"))
        application.router.add_get("/services", self._answer("services", "services"))
        application.router.add_get("/oncalls", self._answer("oncalls", "oncalls"))
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _answer(self, key: str, attribute: str) -> Any:
        async def handler(_request: web.Request) -> web.Response:
            found = {key: getattr(self, attribute), "more": False, "pageInfo": {}}
            return web.json_response(found, status=self.status)

        return handler
