"""What the admin's routes stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from admin.settings import AdminSettings
from kinsight.broker import Broker
from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.http import ServiceClient
from kinsight.clients.indexer import IndexerClient
from kinsight.clients.trainer import TrainerClient
from kinsight.database import Pool
from kinsight.store import Store


@dataclass(frozen=True)
class State:
    """services: every other service by name."""

    settings: AdminSettings
    pool: Pool
    broker: Broker
    store: Store
    services: Mapping[str, ServiceClient]
    extractor: ExtractorClient
    indexer: IndexerClient
    trainer: TrainerClient


def _state(request: Request) -> State:
    state: State = request.app.state.admin
    return state


AdminState = Annotated[State, Depends(_state)]
