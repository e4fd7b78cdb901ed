"""Brokers (★): one file per broker, chosen by the scheme of KINSIGHT_BROKER_URL."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from kinsight.broker.base import Broker
from kinsight.broker.postgres import PostgresBroker
from kinsight.database import Pool
from kinsight.errors import BadRequest, StartFailed

__all__ = ["BROKERS", "Broker", "PostgresBroker", "open_broker"]


def _rabbitmq(url: str, pool: Pool) -> Broker:
    try:  # only here: the embedded run does not install it
        from kinsight.broker.rabbitmq import RabbitBroker
    except ModuleNotFoundError as error:
        raise StartFailed(
            f"KINSIGHT_BROKER_URL names RabbitMQ, but {error.name} is not installed: "
            "`pip install 'kinsight[rabbitmq]'`."
        ) from error
    return RabbitBroker(url, pool)


BROKERS: dict[str, Callable[[str, Pool], Broker]] = {
    "postgresql": lambda _url, pool: PostgresBroker(pool),
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
}


def open_broker(url: str | None, pool: Pool) -> Broker:
    """The broker a URL names; None means the database that `pool` is connected to.

    Raises BadRequest for what is no URL of a broker, StartFailed when its client is missing.
    """
    scheme = urlsplit(url).scheme if url else "postgresql"
    if scheme not in BROKERS:
        raise BadRequest(
            f"KINSIGHT_BROKER_URL starts with {scheme!r}; known: {', '.join(BROKERS)}."
        )
    return BROKERS[scheme](url or "", pool)
