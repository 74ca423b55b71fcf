"""How a BMC's certificate is judged: by an authority or by its fingerprint. There is no third way and no "off"."""

import ssl
from functools import lru_cache
from pathlib import Path

import aiohttp

from fleet.errors import NodeFault, Reason
from inventory.model import Bmc, Tls

PREFIX = "sha256:"
NOTHING = aiohttp.Fingerprint(bytes(32))
"""Matches no certificate: asks a BMC for its certificate and ends there (the refusal tells the fingerprint)."""


def trust(tls: Tls) -> ssl.SSLContext | aiohttp.Fingerprint:
    """What a connection must satisfy: the pinned certificate, else the named authority, else the system's.

    With a pin, aiohttp compares the certificate after the handshake and before the first byte of a request.

    Raises:
        NodeFault: UNTRUSTED_TLS: the authority's file cannot be used, or the pin is not a SHA-256.
    """
    if tls.fingerprint is not None:
        try:
            return aiohttp.Fingerprint(bytes.fromhex(tls.fingerprint.removeprefix(PREFIX)))
        except ValueError:
            raise NodeFault(
                Reason.UNTRUSTED_TLS,
                f"tls.fingerprint is not {PREFIX} and 64 hex digits; correct it in the inventory",
            ) from None
    try:
        return _verifying(tls.ca)
    except OSError as error:  # ssl.SSLError is one
        raise NodeFault(Reason.UNTRUSTED_TLS, f"the authority {tls.ca} cannot be used: {error}") from None


def refusal(bmc: Bmc, presented: str) -> NodeFault:
    """The fault for a certificate that was not accepted, saying how a person may accept it."""
    where = f"{bmc.address}:{bmc.port}"
    if bmc.tls.fingerprint is not None:
        expected = f"is not the pinned one ({bmc.tls.fingerprint})"
    elif bmc.tls.ca is not None:
        expected = f"was not signed for this address by {bmc.tls.ca}"
    else:
        expected = "is vouched for by no authority of this system, and the inventory names none"
    advice = (
        f"it presents {presented}; compare that with the BMC's own console, and if it is the right machine, "
        f"write it in the inventory as bmc.tls.fingerprint"
        if presented
        else "it presented none that could be read"
    )
    return NodeFault(Reason.UNTRUSTED_TLS, f"{where}: the certificate {expected}; {advice}")


@lru_cache(maxsize=64)
def _verifying(ca: Path | None) -> ssl.SSLContext:
    """One context an authority, shared by all its BMCs: a context costs 40 times a connection."""
    return ssl.create_default_context(cafile=None if ca is None else str(ca))
