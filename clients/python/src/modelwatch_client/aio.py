"""`AsyncClient`: the client for code with an event loop."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, List

from modelwatch_client.client import Client


class AsyncClient(Client):
    """A `Client` whose methods that wait are coroutines.

    `log`, `log_ground_truth`, `watch` and `stats` are the same: they never wait (do not use when_full="block" here).
    """

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.flush()
        await self.close()

    async def log_batch(self, frame: Any, **options: Any) -> List[str]:  # type: ignore[override]
        """See `Client.log_batch`."""
        return await asyncio.to_thread(super().log_batch, frame, **options)

    async def flush(self, timeout: float | None = 30.0) -> bool:  # type: ignore[override]
        """See `Client.flush`."""
        return await asyncio.to_thread(super().flush, timeout)

    async def close(self, timeout: float | None = None) -> None:  # type: ignore[override]
        """See `Client.close`."""
        await asyncio.to_thread(super().close, timeout)

    async def set_reference(self, frame: Any, **options: Any) -> Dict[str, Any]:  # type: ignore[override]
        """See `Client.set_reference`."""
        return await asyncio.to_thread(super().set_reference, frame, **options)

    async def reference_binnings(self) -> Dict[str, Any]:  # type: ignore[override]
        """See `Client.reference_binnings`."""
        return await asyncio.to_thread(super().reference_binnings)

    async def send_profile(self, profile: Any, **options: Any) -> List[Dict[str, Any]]:  # type: ignore[override]
        """See `Client.send_profile`."""
        return await asyncio.to_thread(super().send_profile, profile, **options)

    async def check_drift(self, **options: Any) -> Dict[str, Any]:  # type: ignore[override]
        """See `Client.check_drift`."""
        return await asyncio.to_thread(super().check_drift, **options)

    async def performance(self, **options: Any) -> Dict[str, Any]:  # type: ignore[override]
        """See `Client.performance`."""
        return await asyncio.to_thread(super().performance, **options)

    async def quality(self, **options: Any) -> Dict[str, Any]:  # type: ignore[override]
        """See `Client.quality`."""
        return await asyncio.to_thread(super().quality, **options)

    async def drift_history(self, **options: Any) -> Dict[str, Any]:  # type: ignore[override]
        """See `Client.drift_history`."""
        return await asyncio.to_thread(super().drift_history, **options)

    async def alerts(self, **options: Any) -> List[Dict[str, Any]]:  # type: ignore[override]
        """See `Client.alerts`."""
        return await asyncio.to_thread(super().alerts, **options)

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """See `Client.request`."""
        return await asyncio.to_thread(super().request, method, path, **options)
