"""What a Task means, one row a belief (field guide 1.3, F04, F05, F11, F12)."""

import pytest

from fleet.drivers.redfish import document, tasks
from fleet.drivers.redfish.retry_after import retry_after_s
from fleet.ports import TaskPhase
from fleet.profile import Quirks

DELL = Quirks(states=(("UserIntervention", "Stopping"),))


def message(message_id: str, text: str = "", severity: str = "OK", resolution: str = "") -> dict[str, str]:
    """A Message of a Task."""
    return {"MessageId": message_id, "Message": text, "Severity": severity, "Resolution": resolution}


@pytest.mark.parametrize(
    ("state", "status", "told", "phase"),
    [
        ("Running", "OK", [], TaskPhase.ALIVE),
        ("Suspended", "Warning", [], TaskPhase.ALIVE),
        ("Stopping", "OK", [], TaskPhase.ALIVE),
        ("Stopping", "OK", [message("TaskEvent.1.0.TaskPaused")], TaskPhase.STAGED),
        ("Starting", "OK", [message("IDRAC.2.8.JCP001", "Task successfully scheduled.")], TaskPhase.STAGED),
        ("Running", "OK", [message("TaskEvent.1.0.TaskPaused"), message("TaskEvent.1.0.TaskResumed")], TaskPhase.ALIVE),
        ("Completed", "OK", [message("HGX_TaskEvent.1.0.TaskCompletedOK")], TaskPhase.DONE),
        ("Completed", "Critical", [], TaskPhase.FAILED),
        ("Completed", "Warning", [], TaskPhase.FAILED),
        ("Completed", "OK", [message("Update.1.0.ApplyFailed")], TaskPhase.FAILED),
        ("Completed", "OK", [message("X.1.0.Y", severity="Critical")], TaskPhase.FAILED),
        ("Exception", "OK", [], TaskPhase.FAILED),
        ("Cancelled", "Warning", [message("TaskEvent.1.0.TaskAborted")], TaskPhase.FAILED),
        ("Cancelled", "OK", [message("B.1.0.C", "Component image is identical")], TaskPhase.DONE),
        ("UserIntervention", "OK", [], TaskPhase.UNKNOWN),
        ("", "", [], TaskPhase.UNKNOWN),
    ],
)
def test_phase(state: str, status: str, told: list[dict[str, str]], phase: TaskPhase) -> None:
    read = tasks.read("/t/1", {"TaskState": state, "TaskStatus": status, "Messages": told}, Quirks())
    assert read.phase is phase


def test_a_state_of_its_own_is_what_the_profile_says() -> None:
    assert tasks.read("/t/1", {"TaskState": "UserIntervention"}, DELL).phase is TaskPhase.STAGED


def test_activation_texts_are_kept_once_each() -> None:
    told = [
        message("Update.1.0.AwaitToActivate", resolution="AC power cycle"),
        message("HGX_Update.1.1.AwaitToActivate", resolution="DC power cycle"),
        message("Update.1.0.AwaitToActivate", resolution="AC power cycle"),
    ]
    assert tasks.read("/t/1", {"Messages": told}, Quirks()).activation == "AC power cycle; DC power cycle"


@pytest.mark.parametrize("nonsense", [None, 7, "x", [None, 7, {"MessageId": 7}], {"a": 1}])
def test_nonsense_is_read_without_an_exception(nonsense: object) -> None:
    read = tasks.read("/t/1", {"TaskState": nonsense, "Messages": nonsense, "PercentComplete": nonsense}, Quirks())
    assert (read.uri, read.activation) == ("/t/1", "")


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("/redfish/v1/Systems/1", "/redfish/v1/Systems/1"),
        ("https://10.0.0.9:8443/redfish/v1/Tasks/1?x=1", "/redfish/v1/Tasks/1?x=1"),
        ("//evil.example/redfish", "/redfish"),
        ("ftp://evil.example/redfish", ""),
        ("redfish/v1", ""),
        ("/a\r\nX-Evil: 1", ""),
        ("/" + "a" * 5000, ""),
        ("http://[broken/", ""),
        (None, ""),
    ],
)
def test_only_the_path_of_a_reference_counts(reference: object, path: str) -> None:
    assert document.path_of(reference) == path


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 90.0),
        ("/redfish/v1/UpdateService/update", None),
        ("9" * 40, None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_s(value, date="Thu, 01 Jan 1970 00:00:30 GMT") == seconds
