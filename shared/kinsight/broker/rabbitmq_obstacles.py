"""What is wrong with RabbitMQ, in a sentence that says what to do.

The causes are told by the reply codes of AMQP 0-9-1 (https://www.rabbitmq.com/amqp-0-9-1-reference).
"""

from __future__ import annotations

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
        case ConnectionNotAllowed() | ChannelAccessRefused() | InvalidFrameError():
            return (
                f"{server} does not let user {user!r} use virtual host {vhost!r}; create it with "
                "`rabbitmqctl add_vhost` and `rabbitmqctl set_permissions`, or correct "
                "KINSIGHT_BROKER_URL."
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
        case _:
            reason = f" ({error})" if error and str(error) else ""
            return f"{server} does not answer{reason}; start it, or correct KINSIGHT_BROKER_URL."


def _port(address: URL) -> int:
    return 5671 if address.scheme == "amqps" else 5672
