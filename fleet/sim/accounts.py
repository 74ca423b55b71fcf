"""User accounts and roles of one BMC: DSP0266 "Account service", with ETags as it demands them for accounts."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.sim.message import Answer, answer, collection, error, message

SERVICE = "/redfish/v1/AccountService"
ACCOUNTS = f"{SERVICE}/Accounts"
ROLES = f"{SERVICE}/Roles"
_PRIVILEGES: Mapping[str, tuple[str, ...]] = {
    "Administrator": ("Login", "ConfigureManager", "ConfigureUsers", "ConfigureComponents", "ConfigureSelf"),
    "Operator": ("Login", "ConfigureComponents", "ConfigureSelf"),
    "ReadOnly": ("Login", "ConfigureSelf"),
}
"""The standard roles (DSP0266, "Roles")."""
_WRITABLE = {"UserName": str, "Password": str, "RoleId": str, "Enabled": bool}


@dataclass(slots=True, kw_only=True)
class Account:
    """One user."""

    number: str
    name: str
    password: str
    role: str
    enabled: bool = True
    edition: int = 0
    """Counts changes: the ETag is made from it."""

    @property
    def uri(self) -> str:
        """Where the account resource is."""
        return f"{ACCOUNTS}/{self.number}"

    @property
    def etag(self) -> str:
        """The entity tag, with its quotes."""
        text = f"{self.number}/{self.name}/{self.role}/{self.enabled}/{self.edition}"
        return f'"{zlib.crc32(text.encode()):08x}"'


class Accounts:
    """The users of one BMC; they outlive its restarts."""

    def __init__(self, user: str, password: str, *, shortest: int = 8, longest: int = 64) -> None:
        """`user` is the administrator who is always there; `shortest` and `longest`: length of a new password."""
        self._count = 1
        self._lengths = (shortest, longest)
        self.first = Account(number="1", name=user, password=password, role="Administrator")
        self._kept = {"1": self.first}

    def matches(self, user: str, password: str) -> bool:
        """Whether an enabled user has this password."""
        return any(each.name == user and each.password == password and each.enabled for each in self._kept.values())

    def reset(self, password: str) -> None:
        """Factory defaults: the administrator alone, with `password`."""
        self._kept = {"1": self.first}
        self.first.password, self.first.edition = password, self.first.edition + 1

    def may(self, user: str, privilege: str) -> bool:
        """Whether this user's role has `privilege`."""
        account = next((each for each in self._kept.values() if each.name == user), None)
        return account is not None and privilege in _PRIVILEGES[account.role]

    def owns(self, user: str, path: str) -> bool:
        """Whether `path` is this user's own account."""
        return any(each.name == user and each.uri == path for each in self._kept.values())

    def get(self, path: str, if_none_match: str) -> Answer | None:
        """The account, role or collection at `path`; None if it is none of them."""
        if path == ACCOUNTS:
            links = [each.uri for each in self._kept.values()]
            return answer(200, collection(path, "ManagerAccount", path.rpartition("/")[2], links))
        if path == ROLES:
            links = [f"{ROLES}/{role}" for role in _PRIVILEGES]
            return answer(200, collection(path, "Role", path.rpartition("/")[2], links))
        if path.startswith(f"{ROLES}/") and path.rpartition("/")[2] in _PRIVILEGES:
            return answer(200, _role(path.rpartition("/")[2]))
        account = self._at(path)
        if account is None:
            return None
        tag = (("ETag", account.etag),)
        return Answer(status=304, headers=tag) if if_none_match == account.etag else answer(200, _shown(account), tag)

    def create(self, said: Mapping[str, Any], registry: str) -> Answer:
        """POST to the collection."""
        for name in ("UserName", "Password", "RoleId"):
            if not isinstance(said.get(name), str) or not said[name]:
                text = f"The create operation failed because the required property {name} was missing from the request."
                return error(400, f"{registry}.CreateFailedMissingReqProperties", text, (name,))
        if any(each.name == said["UserName"] for each in self._kept.values()):
            text = "The requested resource of type ManagerAccount with the property UserName already exists."
            return error(400, f"{registry}.ResourceAlreadyExists", text, ("ManagerAccount", "UserName"))
        if wrong := self._wrong(said):
            return error(400, f"{registry}.PropertyValueFormatError", f"The value of {wrong} cannot be used.", (wrong,))
        self._count += 1
        account = Account(
            number=str(self._count), name=said["UserName"], password=said["Password"], role=said["RoleId"]
        )
        account.enabled = said.get("Enabled", True) is True
        self._kept[account.number] = account
        return answer(201, _shown(account), (("Location", account.uri), ("ETag", account.etag)))

    def patch(self, path: str, said: Mapping[str, Any], if_match: str, registry: str) -> Answer | None:
        """PATCH of an account: all of it, a part of it (200 with what was left out), or nothing."""
        account = self._at(path)
        if account is None:
            return None
        if if_match and if_match not in {"*", account.etag}:
            return error(412, f"{registry}.PreconditionFailed", "The ETag supplied did not match.")
        wanted = {name: value for name, value in said.items() if not name.startswith("@")}
        if not wanted:
            return error(400, f"{registry}.NoOperation", "The request body contains no data to act upon.")
        wrong = [name for name in wanted if name not in _WRITABLE]
        good = {name: value for name, value in wanted.items() if name in _WRITABLE}
        bad_value = self._wrong(good)
        if bad_value or not good:
            name = bad_value or wrong[0]
            kind = "PropertyValueFormatError" if bad_value else "PropertyUnknown"
            return error(400, f"{registry}.{kind}", f"The property {name} cannot be changed to this.", (name,))
        _change(account, good)
        body = _shown(account)
        if wrong:
            body["@Message.ExtendedInfo"] = [_unknown(name, registry) for name in wrong]
        return answer(200, body, (("ETag", account.etag),))

    def delete(self, path: str, registry: str) -> Answer | None:
        """DELETE of an account; the first one stays."""
        account = self._at(path)
        if account is None:
            return None
        if account is self.first:
            return error(403, f"{registry}.ResourceCannotBeDeleted", "The administrator cannot be deleted.")
        del self._kept[account.number]
        return Answer(status=204)

    def _at(self, path: str) -> Account | None:
        return self._kept.get(path.rpartition("/")[2]) if path.startswith(f"{ACCOUNTS}/") else None

    def _wrong(self, said: Mapping[str, Any]) -> str:
        """The first property whose value cannot be used."""
        for name, kind in _WRITABLE.items():
            if name in said and not isinstance(said[name], kind):
                return name
        if "Password" in said and not self._lengths[0] <= len(said["Password"]) <= self._lengths[1]:
            return "Password"
        return "RoleId" if said.get("RoleId", "ReadOnly") not in _PRIVILEGES else ""


def service(threshold: int, lockout_s: float) -> dict[str, Any]:
    """The AccountService resource; `threshold` wrong passwords lock an account for `lockout_s`."""
    return {
        "@odata.id": SERVICE,
        "@odata.type": "#AccountService.v1_5_0.AccountService",
        "Id": "AccountService",
        "Name": "Account Service",
        "ServiceEnabled": True,
        "MinPasswordLength": 8,
        "MaxPasswordLength": 64,
        "AccountLockoutThreshold": threshold,
        "AccountLockoutDuration": int(lockout_s),
        "Accounts": {"@odata.id": ACCOUNTS},
        "Roles": {"@odata.id": ROLES},
        "Status": {"State": "Enabled", "Health": "OK"},
    }


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a request, empty if it is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _change(account: Account, good: Mapping[str, Any]) -> None:
    account.name = good.get("UserName", account.name)
    account.password = good.get("Password", account.password)
    account.role = good.get("RoleId", account.role)
    account.enabled = good.get("Enabled", account.enabled)
    account.edition += 1


def _unknown(name: str, registry: str) -> dict[str, Any]:
    text = f"The property {name} is not in the list of valid properties for the resource."
    return message(f"{registry}.PropertyUnknown", text, (name,), "Warning")


def _shown(account: Account) -> dict[str, Any]:
    return {
        "@odata.id": account.uri,
        "@odata.type": "#ManagerAccount.v1_4_0.ManagerAccount",
        "@odata.etag": account.etag,
        "Id": account.number,
        "Name": "User Account",
        "UserName": account.name,
        "Password": None,
        "RoleId": account.role,
        "Enabled": account.enabled,
        "Locked": False,
        "AccountTypes": ["Redfish"],
        "Links": {"Role": {"@odata.id": f"{ROLES}/{account.role}"}},
    }


def _role(role: str) -> dict[str, Any]:
    return {
        "@odata.id": f"{ROLES}/{role}",
        "@odata.type": "#Role.v1_3_0.Role",
        "Id": role,
        "RoleId": role,
        "Name": "User Role",
        "IsPredefined": True,
        "AssignedPrivileges": list(_PRIVILEGES[role]),
    }
