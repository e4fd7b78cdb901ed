"""What is wrong with RabbitMQ, in a sentence that says what to do.

The causes are told by the reply codes of AMQP 0-9-1 (https://www.rabbitmq.com/amqp-0-9-1-reference).
"""

from __future__ import annotations

import ssl

from aio_pika.exceptions import (
    AuthenticationError,
    ChannelPreconditionFailed,
    DeliveryError,
    InvalidFrameError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused, ConnectionNotAllowed
from yarl import URL

from kinsight.errors import BadRequest


def explain(url: str, error: BaseException | None) -> str:
    """Names the server, never the password."""
    address = URL(url)
    server = f"RabbitMQ at {address.host}:{address.port or _port(address)}"
    user, vhost = address.user or "guest", address.path[1:] or "/"
    match error:
        case ProbableAuthenticationError() | AuthenticationError():
            return (
                f"{server} refuses user {user!r}; correct the user and the password in "
                "KINSIGHT_BROKER_URL."
            )
        # aiormq raises InvalidFrameError where connection.open is answered by connection.close.
        case ConnectionNotAllowed() | InvalidFrameError():
            return (
                f"{server} does not let user {user!r} use virtual host {vhost!r}; create it with "
                "`rabbitmqctl add_vhost` and `rabbitmqctl set_permissions`, or correct "
                "KINSIGHT_BROKER_URL."
            )
        case ChannelAccessRefused():
            return (
                f"{server} does not give user {user!r} the rights that Kinsight needs ({error}); "
                "grant them with `rabbitmqctl set_permissions`, on names that begin with "
                "`kinsight.jobs` and `amq.`."
            )
        case ChannelPreconditionFailed():
            return (
                f"{server} has a queue or an exchange that was declared otherwise ({error}); "
                "delete it with `rabbitmqctl`: no job is lost, they are rows in Postgres."
            )
        case PublishError() | DeliveryError():
            return f"{server} does not take messages ({error}); see its log."
        case TimeoutError():
            return (
                f"{server} does not answer in time; start it, or see its log for a memory or disk "
                "alarm."
            )
        case _ if error and isinstance(error.__cause__, ssl.SSLError):
            return (
                f"{server} and this service do not agree on TLS ({error}); check scheme and port, "
                "and name the certificate authority's file as ?cafile=… in KINSIGHT_BROKER_URL."
            )
        case _:
            reason = f" ({error})" if error and str(error) else ""
            return f"{server} does not answer{reason}; start it, or correct KINSIGHT_BROKER_URL."


def require_url(url: str) -> None:
    """Raises BadRequest, without quoting the password, where this is no address of a server."""
    try:
        known = bool(URL(url).host)
    except ValueError:
        known = False
    if not known:
        raise BadRequest(
            "KINSIGHT_BROKER_URL is no address of RabbitMQ; write "
            "amqp://user:password@host:5672/vhost, and special characters percent-encoded."
        )


def _port(address: URL) -> int:
    return 5671 if address.scheme == "amqps" else 5672
