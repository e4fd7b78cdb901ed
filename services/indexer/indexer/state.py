"""What the routes of the indexer stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from indexer.search import Searcher
from kinsight.database import Pool
from kinsight.jobs import JobRows
from kinsight.store import Store
from kinsight.web.settings import Settings


@dataclass(frozen=True)
class State:
    settings: Settings
    pool: Pool
    store: Store
    jobs: JobRows
    searcher: Searcher


def _state(request: Request) -> State:
    state: State = request.app.state.indexer
    return state


IndexerState = Annotated[State, Depends(_state)]
