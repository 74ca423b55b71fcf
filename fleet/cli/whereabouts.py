"""Where everything around the nodes answers: from the inventory, or from a running hall. And what nobody declared.

The wiring (links, outlets, VLANs) is always the inventory's; a hall only says at which addresses and with which keys its parts answer.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fleet.cli.compose import Sources
from fleet.cli.hall import RunningHall
from fleet.drivers.edges import HostAt, PduAt, SwitchAt, Whereabouts
from fleet.errors import UsageError
from fleet.step import StepSpec
from inventory.exporters.exporter import Kind, find
from inventory.fabric import leaf_links, leaf_pairs
from inventory.model import Inventory, NodeId

IMAGE, BURN_IN, NETWORK, EXPORT = "os.image", "burnin.run", "network.config", "inventory.export"


def whereabouts(sources: Sources) -> Whereabouts:
    """Where everything around the selected nodes answers. Raises UsageError for a known_hosts that cannot be read."""
    hall = sources.hall
    return _in_hall(sources, hall) if hall is not None else _declared(sources)


def _in_hall(sources: Sources, hall: RunningHall) -> Whereabouts:
    pairs = leaf_pairs(sources.inventory)
    switches = [
        SwitchAt(
            name=name,
            platform=at.platform,
            address=at.address,
            port=at.port,
            user=at.user,
            password=at.password,
            host_key=at.host_key,
            pair=pairs.get(name, ""),
        )
        for name, at in hall.switches.items()
    ]
    pdus = [
        PduAt(
            id=pdu.id,
            feed=pdu.feed,
            mib=pdu.mib,
            address=at.address,
            port=at.port,
            user=at.user,
            auth_key=at.auth_key,
            priv_key=at.priv_key,
            outlets=pdu.outlets,
        )
        for pdu in sources.inventory.pdus
        if (at := hall.pdus.get(pdu.id)) is not None and pdu.mib
    ]
    return Whereabouts(
        hosts={
            name: HostAt(address=at.address, port=at.port, user=at.user, host_key=at.host_key)
            for name, at in hall.hosts.items()
        },
        client_key=hall.client_key,
        switches=tuple(switches),
        pdus=tuple(pdus),
        mates=_mates(sources.inventory),
    )


def _declared(sources: Sources) -> Whereabouts:
    inventory = sources.inventory
    keys = _KnownHosts(inventory.ssh.known_hosts)
    hosts = {
        str(node.id): HostAt(
            address=node.host.address,
            port=node.host.port,
            user=inventory.ssh.user,
            host_key=keys.of(node.host.address, node.host.port),
        )
        for node in sources.nodes
        if node.host is not None
    }
    pdus = [
        PduAt(
            id=pdu.id,
            feed=pdu.feed,
            mib=pdu.mib,
            address=pdu.address,
            port=pdu.port,
            user=login.user,
            auth_key=login.password,
            priv_key=login.privacy,
            outlets=pdu.outlets,
        )
        for pdu in inventory.pdus
        if pdu.mib and pdu.outlets and pdu.credential and (login := inventory.credential(pdu.credential)).privacy
    ]
    return Whereabouts(
        hosts=hosts,
        client_key=inventory.ssh.key,
        switches=_declared_switches(inventory, keys),
        pdus=tuple(pdus),
        mates=_mates(inventory),
    )


def _mates(inventory: Inventory) -> dict[NodeId, tuple[NodeId, ...]]:
    """Node -> the others of its chassis."""
    shared = (node.id for node in inventory.nodes if node.chassis)
    return {node: tuple(mate.id for mate in inventory.mates(node)) for node in shared}


def _declared_switches(inventory: Inventory, keys: "_KnownHosts") -> tuple[SwitchAt, ...]:
    pairs = leaf_pairs(inventory)
    switches = []
    for switch in inventory.switches:
        if switch.platform and switch.address and switch.credential:
            login = inventory.credential(switch.credential)
            switches.append(
                SwitchAt(
                    name=switch.id,
                    platform=switch.platform,
                    address=switch.address,
                    port=switch.port,
                    user=login.user,
                    password=login.password,
                    host_key=keys.of(switch.address, switch.port),
                    pair=pairs.get(switch.id, ""),
                )
            )
    return tuple(switches)


class _KnownHosts:
    """An OpenSSH known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), read by asyncssh when it is first asked."""

    def __init__(self, path: Path | None) -> None:
        self._keys = None
        if path is not None:
            import asyncssh  # noqa: PLC0415 (0.3 s to import; most inventories have no known_hosts)

            try:
                self._keys = asyncssh.read_known_hosts(str(path))
            except (OSError, ValueError) as error:
                raise UsageError(f"{path}: the known_hosts of the inventory cannot be read: {error}") from error

    def of(self, address: str, port: int) -> str:
        """The public key line of what answers there, Ed25519 before others; empty: not known."""
        if self._keys is None:
            return ""
        found = self._keys.match(address, address, port)
        revoked = {key.public_data for key in found[2]}
        usable = [key for key in found[0] if key.public_data not in revoked]
        usable.sort(key=lambda key: key.get_algorithm() != "ssh-ed25519")
        return str(usable[0].export_public_key().decode().strip()) if usable else ""


def lacking(sources: Sources, where: Whereabouts, steps: Iterable[StepSpec]) -> Mapping[str, str]:
    """Node -> what the steps need of its surroundings and nobody declared, as a sentence; nodes that lack nothing are not there."""
    names = [step.name for step in steps]
    everyone = [text for step in steps if step.name == EXPORT and (text := _no_export(sources, str(step.args["to"])))]
    if IMAGE in names and sources.hall is None and sources.inventory.provisioning is None:
        everyone.append("os.image needs `provisioning: {address: ...}`, this machine's address as BMCs reach it")
    if {IMAGE, BURN_IN} & set(names) and where.client_key is None:
        everyone.append("os.image and burnin.run log in to hosts: declare `ssh: {key: ...}`")
    links = leaf_links(sources.inventory, sources.nodes) if NETWORK in names else {}
    known = {at.name for at in where.switches if at.host_key}
    found: dict[str, str] = {}
    for node in sources.nodes:
        texts = [*everyone]
        at = where.hosts.get(str(node.id))
        if {IMAGE, BURN_IN} & set(names) and at is None:
            texts.append("no `host: {address: ...}` is declared, and os.image and burnin.run log in to it")
        elif BURN_IN in names and IMAGE not in names and at is not None and not at.host_key:
            texts.append(f"the SSH host key of {at.address} is not in `ssh: {{known_hosts: ...}}`")
        ends = {str(end.device) for link in links.get(str(node.id), ()) for end in (link.a, link.b)} - {str(node.id)}
        unknown = sorted(ends - known)
        if unknown:
            texts.append(
                f"network.config cannot reach {', '.join(unknown)}: declare platform, address and credential, and put its host"
                " key into `ssh: {known_hosts: ...}`"
            )
        if texts:
            found[str(node.id)] = "; ".join(texts)
    return found


def _no_export(sources: Sources, to: str) -> str:
    if sources.hall is not None and find(to).kind is Kind.SYSTEM:
        return f"inventory.export to {to}: what a simulated hall runs is not written to a real system"
    wants_place = find(to).kind is Kind.SYSTEM and to not in sources.inventory.exports
    return f"inventory.export to {to} needs `exports: {{{to}: {{url: ..., token: ...}}}}`" if wants_place else ""
