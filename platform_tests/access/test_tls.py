"""TLS with a real certificate, and no plain line to other machines."""

import logging
import pickle
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.access.declaration import Limits
from headrace.access.tls import Certificate, of_1_2_or_newer, refuse_plain, tls_settings
from headrace.core.errors import Refused
from platform_tests.access.server import Echo, Running, one_answer, request, serving, statuses, until_closed


def make_certificate(folder: Path, name: str = "localhost") -> Certificate:
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "2"]
    subprocess.run([*words, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return Certificate(chain, key)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def running(certificate: Certificate) -> Iterator[Running]:
    limits = Limits.model_validate({"within": {"header": "1s", "body": "1s", "idle": "1s"}})
    with serving(Echo(), limits, **tls_settings(certificate)) as running:
        yield running


def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.chain))


def test_a_client_that_trusts_the_certificate_is_answered_over_tls(running: Running, certificate: Certificate) -> None:
    with trusting(certificate).wrap_socket(running.connect(), server_hostname="localhost") as line:
        for _ in range(2):
            line.sendall(request(body=b"x" * 70_000))
            assert one_answer(line).endswith(b"\r\n\r\n70000")
        assert line.version() in ("TLSv1.2", "TLSv1.3")


def test_a_client_that_does_not_trust_it_and_one_without_tls_are_not_answered(running: Running) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(running.connect(), server_hostname="localhost")
    assert statuses(running.exchange(request())) == []


def test_tls_below_1_2_is_refused(certificate: Certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    assert of_1_2_or_newer(None, lambda: context).minimum_version == ssl.TLSVersion.TLSv1_2
    assert tls_settings(certificate)["ssl_context_factory"] is of_1_2_or_newer


def test_a_client_that_speaks_tls_1_1_alone_is_turned_away(running: Running, certificate: Certificate) -> None:
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(words, input=b"", capture_output=True, check=False, timeout=30)
    assert done.returncode != 0
    newer = [*words[:4], "-tls1_2"]
    assert subprocess.run(newer, input=b"", capture_output=True, check=False, timeout=30).returncode == 0


def test_refusals_and_deadlines_hold_over_tls_too(running: Running, certificate: Certificate) -> None:
    context = trusting(certificate)
    with context.wrap_socket(running.connect(), server_hostname="localhost") as line:
        line.sendall(request(content_length=str(10**9)))
        assert statuses(until_closed(line)) == [413]
    with context.wrap_socket(running.connect(), server_hostname="localhost") as line:
        line.sendall(b"POST / HTTP/1.1\r\n")
        assert statuses(until_closed(line)) == [408]


def test_what_uvicorn_is_told_goes_to_worker_processes(certificate: Certificate) -> None:
    assert pickle.loads(pickle.dumps(tls_settings(certificate))) == tls_settings(certificate)


def test_without_a_certificate_uvicorn_is_told_nothing() -> None:
    assert tls_settings(None) == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8", "::ffff:127.0.0.1"])
def test_this_machine_alone_may_be_listened_to_without_tls(host: str) -> None:
    refuse_plain(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "0"])
def test_listening_beyond_this_machine_without_tls_is_refused_in_words(host: str) -> None:
    with pytest.raises(Refused, match=r"without TLS would send API keys .* --behind-tls-proxy"):
        refuse_plain(host, None)


def test_a_name_counts_as_what_it_resolves_to(certificate: Certificate) -> None:
    name = socket.gethostname()
    addresses = {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    if all(address.startswith("127.") or address == "::1" for address in addresses):
        refuse_plain(name, None)
    else:
        with pytest.raises(Refused, match=r"which is"):
            refuse_plain(name, None)
    with pytest.raises(Refused, match=r"Nobody knows the host 'nobody\.invalid'"):
        refuse_plain("nobody.invalid", None)


def test_with_a_certificate_every_address_may_be_listened_to(certificate: Certificate) -> None:
    refuse_plain("0.0.0.0", certificate)


def test_behind_a_proxy_it_may_be_plain_and_the_log_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    refuse_plain("0.0.0.0", None, behind_tls_proxy=True)
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    assert "WITHOUT TLS, because --behind-tls-proxy was said" in caplog.text


def test_on_this_machine_a_proxy_is_nothing_to_be_loud_about(caplog: pytest.LogCaptureFixture) -> None:
    refuse_plain("127.0.0.1", None, behind_tls_proxy=True)
    assert not caplog.records


def test_files_that_are_no_certificate_or_no_pair_are_refused_in_words(
    tmp_path: Path, certificate: Certificate
) -> None:
    with pytest.raises(Refused, match=r"There is no file .*gone\.pem"):
        tls_settings(Certificate(tmp_path / "gone.pem"))
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"\0garbage")
    other = make_certificate(tmp_path, "other")
    for wrong in (Certificate(garbage), Certificate(certificate.chain, other.key), Certificate(certificate.chain)):
        with pytest.raises(Refused, match=r"are no certificate with its key"):
            tls_settings(wrong)


def test_a_key_under_a_pass_phrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    locked = tmp_path / "locked.key"
    words = ["openssl", "ec", "-in", made.key, "-aes256", "-passout", "pass:secret", "-out", locked]
    subprocess.run(words, check=True, capture_output=True)
    with pytest.raises(Refused, match=r"without a pass phrase"):
        tls_settings(Certificate(made.chain, locked))
