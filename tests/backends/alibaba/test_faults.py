"""The service's error codes as kmskit's errors, and when a request is sent again."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

import pytest

from kmskit import (
    AccessDeniedError,
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    InvalidCiphertextError,
    KeyNotFoundError,
    KeyState,
    KeyStateError,
    KmsError,
    LimitExceededError,
    ServiceUnavailableError,
    ThrottledError,
    UnsupportedError,
)
from kmskit.backends.alibaba import faults, gateway
from kmskit.backends.alibaba.faults import MEANINGS, Fault
from tests.backends.alibaba.conftest import Connected
from tests.backends.alibaba.metadata import KEY, describe
from tests.backends.alibaba.server import Reply, error

DOCUMENTED = {
    AuthenticationError: """InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive Forbidden.AccessKey
        SignatureDoesNotMatch IncompleteSignature InvalidSignatureMethod SignatureNonceUsed MissingSecurityToken
        InvalidTimeStamp.Expired InvalidTimeStamp.Format IllegalTimestamp""",
    AccessDeniedError: """Forbidden.NoPermission Forbidden.KmsServiceNotEnabled Forbidden.ProhibitedByRiskControl
        Forbidden.InDebt Forbidden.InDebtOverdue Forbidden.UbsmsInvalidUserid Forbidden.UbsmsInvalidBid
        Forbidden.NoRealNameAuthentication Forbidden.Opened CreateLXOrderFailed AccessDeniedError""",
    KeyNotFoundError: """Forbidden.KeyNotFound Forbidden.KeyVersionNotFound Forbidden.AliasNotFound
        Forbidden.ResourceNotFound InvalidResourceId.NotFound""",
    AlreadyExistsError: "AliasAlreadyExists Rejected.ResourceExist",
    KeyStateError: """Rejected.Disabled Rejected.PendingDeletion Rejected.PendingImport Rejected.StateModifiedFailed
        Rejected.ResourceInDeleteWindow Rejected.ResourceInUse""",
    UnsupportedError: """MissingParameter InvalidParameter UnsupportedOperation Rejected.UnsupportedOperation
        ParseRequestParameterException Unsupported.Origin Unsupported.Alias Unsupported.ProtectionLevel
        InvalidKeyMaterial InvalidImportToken ExpiredImportToken Forbidden.KeyPolicyUnSupported Duplicate.TagKey
        InvalidParameter.TagKey InvalidParameter.TagValue Rejected.InvalidRequest UnsupportedHTTPMethod
        InvalidApi.NotFound InvalidProtocol.NeedSsl DryRunOperationError ValidationError Emulator.NotImplemented""",
    LimitExceededError: "Rejected.LimitExceeded Rejected.ShareQuotaExceedLimit",
    ConfigurationError: "Forbidden.DKMSInstanceNotFound Forbidden.DKMSInstanceStateInvalid",
    ThrottledError: "Rejected.Throttling Throttling.User",
    ServiceUnavailableError: """InternalFailure ServiceUnavailableTemporary SerivceUnvailableTemporary
        Rejected.Unavailable""",
}
"""Every code of the service's error centre and of its API's metadata, by what becomes of it."""
CODES = [(code, kind) for kind, codes in DOCUMENTED.items() for code in codes.split()]


@pytest.mark.parametrize(("code", "kind"), CODES)
def test_every_documented_code_is_mapped(code: str, kind: type[KmsError]) -> None:
    assert code in MEANINGS, "mapped by name, not by guess"
    error = faults.translate(Fault("Encrypt", code, "No.", 400, "request", "https://example.com"))
    assert type(error) is kind
    assert (error.code, error.request_id, error.recommend) == (code, "request", "https://example.com")
    assert error.hint


def test_each_code_of_the_map_is_one_of_the_documented() -> None:
    known = {code for code, _ in CODES}
    others = {
        "Forbidden",
        "Forbidden.RAM",
        "InternalError",
        "InvalidAccessKeyId",
        "InvalidAction.NotFound",
        "InvalidSecurityToken",
        "InvalidSecurityToken.Expired",
        "InvalidSecurityToken.Malformed",
        "InvalidVersion",
        "NoPermission",
        "ServiceUnavailable",
        "Throttling",
        "Throttling.Api",
    }
    """What the gateways of the vendor's other products say in the same cases."""
    assert set(MEANINGS) == known | others


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("Throttling.Something", 400, ThrottledError),
        ("Whatever", 429, ThrottledError),
        ("MissingSomething", 400, UnsupportedError),
        ("InvalidParameter.Something", 400, UnsupportedError),
        ("Unsupported.Something", 400, UnsupportedError),
        ("Whatever", 401, AccessDeniedError),
        ("Whatever", 403, AccessDeniedError),
        ("Whatever", 500, ServiceUnavailableError),
        ("Whatever", 599, ServiceUnavailableError),
        ("Whatever", 0, ServiceUnavailableError),
        ("Whatever", 418, UnsupportedError),
    ],
)
def test_an_unknown_code_is_judged_by_its_form_and_status(code: str, status: int, kind: type[KmsError]) -> None:
    assert type(faults.translate(Fault("Encrypt", code, "", status))) is kind


@pytest.mark.parametrize("action", ["Decrypt", "ReEncrypt", "AsymmetricDecrypt"])
@pytest.mark.parametrize("code", ["InvalidParameter", "Forbidden.KeyNotFound", "Forbidden.KeyVersionNotFound"])
def test_in_a_decryption_it_is_the_bytes(action: str, code: str) -> None:
    error = faults.translate(Fault(action, code, "The specified parameter CiphertextBlob is not valid.", 400, "id"))
    assert type(error) is InvalidCiphertextError
    assert (error.code, error.request_id) == (code, "id")
    assert "CiphertextBlob" not in str(error)
    assert type(faults.translate(Fault("Encrypt", code, "", 400))) is not InvalidCiphertextError


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("Rejected.Disabled", KeyState.DISABLED),
        ("Rejected.PendingDeletion", KeyState.PENDING_DELETION),
        ("Rejected.PendingImport", KeyState.PENDING_IMPORT),
    ],
)
def test_a_state_is_told_by_kmskits_name(code: str, state: KeyState) -> None:
    assert state in str(faults.translate(Fault("Encrypt", code, "", 409)))


def test_what_the_service_says_reaches_the_user(connected: Callable[..., Connected]) -> None:
    arn = f"acs:kms:cn-hangzhou:1234:key/{KEY}"
    refusal = error("Forbidden.NoPermission", 403, f"This operation for {arn} is forbidden by permission system.")
    kms, _ = connected(lambda action, parameters: describe(action) or refusal)
    with pytest.raises(AccessDeniedError) as denied:
        kms.key(KEY).encrypt(b"x")
    shown = denied.value
    assert arn in str(shown)
    assert shown.recommend == "https://api.example.com/troubleshoot?q=x"
    assert (shown.code, shown.request_id) == ("Forbidden.NoPermission", "3c1b-request")
    assert (shown.backend, shown.operation, shown.retryable) == ("alibaba", "encrypt", False)
    assert "troubleshoot" in shown._repr_html_()


def test_the_policy_that_refused_is_told_where_it_is_known(connected: Callable[..., Connected]) -> None:
    detail = {
        "AuthAction": "kms:Encrypt",
        "AuthPrincipalDisplayName": "app",
        "NoPermissionType": "ExplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }
    refusal = error("Forbidden.NoPermission", 403, AccessDeniedDetail=detail)
    kms, _ = connected(lambda action, parameters: describe(action) or refusal)
    with pytest.raises(AccessDeniedError) as denied:
        kms.key(KEY).encrypt(b"x")
    assert all(value in str(denied.value) for value in detail.values())


@pytest.mark.parametrize(
    ("kind", "cure"), [("ExplicitDeny", "must go"), ("ImplicitDeny", "must allow it")], ids=["a Deny", "no Allow"]
)
def test_the_hint_asks_for_an_allow_only_where_one_is_missing(
    kind: str, cure: str, connected: Callable[..., Connected]
) -> None:
    detail = {"NoPermissionType": kind, "PolicyType": "KeyPolicy"}
    refusal = error("Forbidden.NoPermission", 403, AccessDeniedDetail=detail)
    kms, _ = connected(lambda action, parameters: describe(action) or refusal)
    with pytest.raises(AccessDeniedError) as denied:
        kms.key(KEY).encrypt(b"x")
    assert cure in str(denied.value.hint)


def test_a_hostile_message_takes_nothing_over(connected: Callable[..., Connected]) -> None:
    refusal = error("InvalidParameter", message="\x1b[2J<img src=x onerror=alert(1)>\u202e" + "x" * 10_000)
    kms, _ = connected(lambda action, parameters: describe(action) or refusal)
    with pytest.raises(UnsupportedError) as refused:
        kms.key(KEY).encrypt(b"x")
    assert "\x1b" not in str(refused.value)
    assert "<img" not in refused.value._repr_html_()
    assert len(str(refused.value)) < 500


# Sending again


def sequence(*replies: Reply) -> Callable[[str, dict[str, str]], Reply]:
    """These replies to whatever does not describe, and then success."""
    number = count()

    def answer(action: str, parameters: dict[str, str]) -> Reply:
        if (described := describe(action)) and action != "DescribeKey":
            return described
        if action == "DescribeKey":
            return described or Reply()
        index = next(number)
        if index < len(replies):
            return replies[index]
        success = {"CiphertextBlob": "AAAA", "KeyId": KEY}
        return Reply(describe("DescribeKey").body if action == "CreateKey" else success)  # type: ignore[union-attr]

    return answer


THROTTLED = error("Rejected.Throttling", 429)
PASSING = [THROTTLED, error("Throttling.User"), Reply(drop=True), error("InternalFailure", 500)]
LASTING = [
    error("InvalidAccessKeyId.NotFound", 404),
    error("SignatureDoesNotMatch"),
    error("Forbidden.NoPermission", 403),
]


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_of_a_call_that_changes_nothing_is_not_seen(
    connected: Callable[..., Connected], fault: Reply
) -> None:
    kms, server = connected(sequence(fault, fault, fault))
    key = kms.key(KEY)
    before = kms.calls
    assert key.encrypt(b"x") == b"AAAA"
    assert server.actions.count("Encrypt") == kms.calls - before == 4


@pytest.mark.parametrize(("fault", "kind"), [(THROTTLED, ThrottledError), (Reply(drop=True), ServiceUnavailableError)])
def test_a_fault_that_stays_is_raised_after_four_attempts(
    connected: Callable[..., Connected], fault: Reply, kind: type[KmsError]
) -> None:
    kms, server = connected(sequence(*[fault] * 10))
    with pytest.raises(kind) as failed:
        kms.key(KEY).encrypt(b"x")
    assert failed.value.retryable
    assert server.actions.count("Encrypt") == 4


def test_a_change_is_not_sent_twice_unless_the_first_was_turned_away(connected: Callable[..., Connected]) -> None:
    kms, server = connected(sequence(THROTTLED, THROTTLED))
    kms.create_key()
    assert server.actions.count("CreateKey") == 3
    for fault in (Reply(drop=True), error("InternalFailure", 500), error("ServiceUnavailableTemporary", 503)):
        kms, server = connected(sequence(fault))
        with pytest.raises(ServiceUnavailableError) as failed:
            kms.create_key()
        assert server.actions.count("CreateKey") == 1
        if fault.drop:
            assert "may have been carried out" in (failed.value.hint or "")


@pytest.mark.parametrize(
    "fault",
    [error("InvalidAccessKeyId.NotFound", 404), error("SignatureDoesNotMatch"), error("Forbidden.NoPermission", 403)],
)
def test_what_will_not_get_better_is_not_sent_again(connected: Callable[..., Connected], fault: Reply) -> None:
    kms, server = connected(sequence(fault))
    with pytest.raises((AuthenticationError, AccessDeniedError)):
        kms.key(KEY).encrypt(b"x")
    assert server.actions.count("Encrypt") == 1


def test_the_service_says_how_long_to_wait(
    connected: Callable[..., Connected], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(gateway, "sleep", pauses.append)
    busy = Reply(THROTTLED.body, 429, {"x-acs-retry-after": "1500"})
    kms, _ = connected(sequence(busy, busy))
    assert kms.key(KEY).encrypt(b"x") == b"AAAA"
    assert len(pauses) == 2
    assert all(1.5 <= pause < 2 for pause in pauses)


def test_pauses_grow_and_vary(connected: Callable[..., Connected], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_FIRST_PAUSE", 0.2)
    pauses: list[float] = []
    monkeypatch.setattr(gateway, "sleep", pauses.append)
    for _ in range(10):
        kms, _ = connected(sequence(THROTTLED, THROTTLED, THROTTLED))
        kms.key(KEY).encrypt(b"x")
    by_attempt = [pauses[number::3] for number in range(3)]
    for longest, seen in zip((0.2, 0.4, 0.8), by_attempt, strict=True):
        assert max(seen) <= longest
        assert len(set(seen)) == len(seen)


# Decrypt, whose answer is checked


BLOB = b"QUFBQUFB"


def test_the_plaintext_of_another_key_is_dropped(connected: Callable[..., Connected]) -> None:
    answer = {"Plaintext": "c2VjcmV0", "KeyId": "key-hzz00000000000000"}
    kms, _ = connected(lambda action, parameters: describe(action) or Reply(answer))
    key = kms.key(KEY)
    with pytest.raises(InvalidCiphertextError):
        key.decrypt(BLOB)
    with pytest.raises(InvalidCiphertextError):
        key.decrypt_data_key(BLOB)
    assert all(isinstance(outcome.error, InvalidCiphertextError) for outcome in key.decrypt_many([BLOB] * 3))


def test_a_plaintext_that_is_no_base64_is_not_guessed_at(connected: Callable[..., Connected]) -> None:
    kms, _ = connected(lambda action, parameters: describe(action) or Reply({"Plaintext": "plain text", "KeyId": KEY}))
    with pytest.raises(InvalidCiphertextError, match="base64"):
        kms.key(KEY).decrypt(BLOB)


@pytest.mark.parametrize("bad", [b"", b"A", b"AAAA\n", b" AAAA", b"AAA=A", b"AAB=", b"A===", "äöü".encode(), b"AA-_"])
def test_a_ciphertext_has_one_spelling(connected: Callable[..., Connected], bad: bytes) -> None:
    """Base64 that another program would decode all the same is refused without asking the service."""
    kms, server = connected(lambda action, parameters: describe(action) or Reply())
    with pytest.raises(InvalidCiphertextError):
        kms.key(KEY).decrypt(bad)
    assert "Decrypt" not in server.actions


@pytest.mark.parametrize(
    ("code", "state", "kind"),
    [
        ("Forbidden.KeyNotFound", "Enabled", InvalidCiphertextError),
        ("Rejected.Disabled", "Enabled", InvalidCiphertextError),
        ("Rejected.Disabled", "Disabled", KeyStateError),
        ("Forbidden.KeyNotFound", "PendingDeletion", KeyStateError),
        ("InvalidParameter", "Enabled", InvalidCiphertextError),
    ],
)
def test_a_refused_decryption_is_judged_by_the_state_of_this_key(
    connected: Callable[..., Connected], code: str, state: str, kind: type[KmsError]
) -> None:
    """The service found the key by the bytes, which may be another's."""
    kms, _ = connected(lambda action, parameters: describe(action, KeyState=state) or error(code, 404))
    with pytest.raises(kind) as refused:
        kms.key(KEY).decrypt(BLOB)
    assert refused.value.code == code


def test_a_denial_about_another_key_is_about_the_bytes(connected: Callable[..., Connected]) -> None:
    for named, kind in ((KEY, AccessDeniedError), ("key-hzz00000000000000", InvalidCiphertextError)):
        message = f"This operation for acs:kms:cn-hangzhou:1234:key/{named} is forbidden by permission system."
        refusal = error("Forbidden.NoPermission", 403, message)
        kms, _ = connected(lambda action, parameters, refusal=refusal: describe(action) or refusal)
        with pytest.raises(kind):
            kms.key(KEY).decrypt(BLOB)


# Contexts


@pytest.mark.parametrize("context", [{"a": "b&c=d"}, {"a=b": "c"}, {"a&": ""}, {"": "="}])
def test_a_context_that_the_service_cannot_tell_apart_is_refused(
    connected: Callable[..., Connected], context: dict[str, str]
) -> None:
    kms, server = connected(sequence())
    key = kms.key(KEY)
    for use in (key.encrypt, key.decrypt):
        with pytest.raises(UnsupportedError, match="context"):
            use(BLOB, context=context)
    assert not {"Encrypt", "Decrypt"} & set(server.actions)


def test_a_data_key_is_bound_to_any_context_by_one_pair(connected: Callable[..., Connected]) -> None:
    answer = {"CiphertextBlob": "AAAA", "Plaintext": "AA==", "KeyId": KEY}
    kms, server = connected(lambda action, parameters: describe(action) or Reply(answer))
    key = kms.key(KEY)
    context = {"a": "b&c=d", "e": "f"}
    key.generate_data_key(1, context=context)
    key.wrap_data_key(b"x", context=context)
    key.decrypt_data_key(BLOB, context=context)
    sent = {parameters["EncryptionContext"] for _, parameters in server.seen if "EncryptionContext" in parameters}
    (only,) = sent
    assert re.fullmatch(r'\{"kmskit-context":"[0-9a-f]{64}"\}', only)
    key.generate_data_key(1)
    assert "EncryptionContext" not in server.seen[-1][1]


def test_an_alias_that_fails_leaves_no_key_that_costs_money(connected: Callable[..., Connected]) -> None:
    def answer(action: str, parameters: dict[str, str]) -> Reply:
        if action == "DescribeKey":
            return error("Forbidden.AliasNotFound", 404)
        if action == "CreateKey":
            return describe("DescribeKey") or Reply()
        return error("Rejected.LimitExceeded") if action == "CreateAlias" else Reply()

    kms, server = connected(answer)
    with pytest.raises(LimitExceededError, match=f"{KEY} was made, and is scheduled for deletion"):
        kms.create_key("orders")
    assert server.seen[-1] == ("ScheduleKeyDeletion", {"KeyId": KEY, "PendingWindowInDays": "7"})


@pytest.mark.parametrize("alias", ["with space", "acs/own", "umläut", "semi;colon"])
def test_an_alias_that_the_service_does_not_take_is_refused_before_a_key_is_made(
    connected: Callable[..., Connected], alias: str
) -> None:
    kms, server = connected(sequence())
    with pytest.raises(ValueError, match="alias"):
        kms.create_key(alias)
    if not alias.startswith("acs/"):  # Those are there: nobody can give them, but the cloud's own keys have them.
        with pytest.raises(KeyNotFoundError):
            kms.key(alias)
    assert not server.seen
