"""The certificate of what this process serves, read again at SIGHUP: new connections have the new one."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from indexer import log

if TYPE_CHECKING:
    import ssl

    from indexer.settings import Settings

logger = log.get(__name__)


def renew(context: ssl.SSLContext, settings: Settings) -> None:
    """Read certificate and key again; where they do not fit, what was there serves on and the log says why."""
    if settings.TLS_CERTIFICATE is None:
        return
    try:
        context.load_cert_chain(settings.TLS_CERTIFICATE, settings.TLS_KEY)
    except OSError as error:  # what ssl raises is one too
        logger.exception("certificate refused", file=str(settings.TLS_CERTIFICATE), reason=str(error))
    else:
        logger.info("certificate read", file=str(settings.TLS_CERTIFICATE))


def renew_on_hangup(context: ssl.SSLContext, settings: Settings) -> None:
    """Renew at each SIGHUP, from the running event loop."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renew, context, settings)
