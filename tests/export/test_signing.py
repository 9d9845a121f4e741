"""A signature holds for exactly what was signed, by exactly the key that is trusted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.bundle import embed_manifest, read_manifest
from trap_contract.errors import BundleError, ConfigError
from trap_contract.signature import (
    Signature,
    content_digest,
    load_public_key,
    sign,
    signature_file,
    verify_bundle,
)
from trap_export.commands import app
from trap_export.signing import load_key, make_key, sign_bundle
from typer.testing import CliRunner

from export.conftest import FORMATS


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "maker")
    return tmp_path / "maker"


@pytest.fixture
def trusted(key: Path) -> str:
    return load_public_key(key.with_name("maker.pub"))


@pytest.fixture
def signed(bundles: dict[str, Path], key: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies the INT8 bundle of a format and signs it."""

    def make(kind: str) -> Path:
        source = bundles[f"{kind}-int8"]
        copy = tmp_path / source.name
        shutil.copytree(source, copy) if source.is_dir() else shutil.copyfile(source, copy)
        sign_bundle(copy, load_key(key))
        return copy

    return make


def a_file_of(bundle: Path) -> Path:
    return bundle / "model.bin" if bundle.is_dir() else bundle


@pytest.mark.parametrize("kind", FORMATS)
def test_a_signed_bundle_is_accepted_by_who_trusts_the_key(
    signed: Callable[[str], Path], trusted: str, kind: str
) -> None:
    bundle = signed(kind)
    assert verify_bundle(bundle, {"0" * 64, trusted}).key == trusted
    assert signature_file(bundle).parent == bundle.parent


@pytest.mark.parametrize("kind", FORMATS)
def test_one_altered_byte_is_refused(signed: Callable[[str], Path], trusted: str, kind: str) -> None:
    bundle = signed(kind)
    file = a_file_of(bundle)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match="is not what was signed"):
        verify_bundle(bundle, {trusted})


@pytest.mark.parametrize("kind", FORMATS)
def test_an_altered_manifest_is_refused(signed: Callable[[str], Path], trusted: str, kind: str) -> None:
    bundle = signed(kind)
    manifest = read_manifest(bundle)
    assert manifest is not None
    embed_manifest(bundle, manifest.model_copy(update={"threshold": 0.99}))
    with pytest.raises(BundleError, match="is not what was signed"):
        verify_bundle(bundle, {trusted})


def test_a_key_that_is_not_trusted_is_refused(signed: Callable[[str], Path], tmp_path: Path) -> None:
    bundle = signed("onnx")
    other = load_public_key(make_key(tmp_path / "other"))
    with pytest.raises(BundleError, match=r"\.sig: signed by key .*, which is not trusted here"):
        verify_bundle(bundle, {other})
    with pytest.raises(BundleError, match="not trusted"):
        verify_bundle(bundle, set())


def test_naming_a_trusted_key_without_having_it_is_refused(signed: Callable[[str], Path], trusted: str) -> None:
    bundle = signed("onnx")
    forged = sign(content_digest(bundle), Ed25519PrivateKey.generate()).model_copy(update={"key": trusted})
    signature_file(bundle).write_text(forged.model_dump_json())
    with pytest.raises(BundleError, match="not a signature by the key it names"):
        verify_bundle(bundle, {trusted})


def test_the_signature_of_another_bundle_is_refused(signed: Callable[[str], Path], trusted: str) -> None:
    first, second = signed("onnx"), signed("tflite")
    shutil.copyfile(signature_file(first), signature_file(second))
    with pytest.raises(BundleError, match="is not what was signed"):
        verify_bundle(second, {trusted})


@pytest.mark.parametrize("change", ["extra", "hidden", "missing", "renamed", "below"])
def test_an_openvino_folder_with_other_files_is_refused(
    signed: Callable[[str], Path], trusted: str, change: str
) -> None:
    folder = signed("openvino")
    if change == "extra":
        (folder / "extra").write_bytes(b"")
    elif change == "hidden":
        (folder / ".hidden").write_bytes(b"x")
    elif change == "below":
        (folder / "below").mkdir()
        (folder / "below" / "model.bin").write_bytes(b"x")
    elif change == "renamed":
        for file in list(folder.iterdir()):
            file.rename(file.with_stem("other"))
    else:
        (folder / "model.bin").unlink()
    with pytest.raises(BundleError):
        verify_bundle(folder, {trusted})


def test_a_link_in_an_openvino_folder_is_refused(signed: Callable[[str], Path], trusted: str, tmp_path: Path) -> None:
    folder = signed("openvino")
    (folder / "model.bin").rename(tmp_path / "model.bin")
    (folder / "model.bin").symlink_to(tmp_path / "model.bin")
    with pytest.raises(BundleError, match="plain files only"):
        verify_bundle(folder, {trusted})


@given(end=st.integers(0, 330))
def test_a_truncated_signature_is_never_a_signature(end: int) -> None:
    text = sign("ab" * 32, Ed25519PrivateKey.from_private_bytes(bytes(32))).model_dump_json()
    assert end < len(text)
    with pytest.raises(ValueError, match="Signature"):
        Signature.model_validate_json(text[:end])


@pytest.mark.parametrize("kept", [0, 10, 200, -20])
def test_a_truncated_signature_file_is_refused(signed: Callable[[str], Path], trusted: str, kept: int) -> None:
    bundle = signed("onnx")
    file = signature_file(bundle)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(BundleError, match=r"\.sig: not a signature"):
        verify_bundle(bundle, {trusted})


def test_a_bundle_without_a_signature_is_refused(bundles: dict[str, Path]) -> None:
    with pytest.raises(BundleError, match="no signature beside the bundle"):
        verify_bundle(bundles["onnx-int8"], {"0" * 64})


def test_a_private_key_is_its_owner_s_alone(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in key.with_name("maker.pub").read_bytes()
    with pytest.raises(ConfigError, match="exists: keep it"):
        make_key(key)
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="others can read this private key: chmod 600"):
        load_key(key)


def test_what_is_no_key_is_named(key: Path, tmp_path: Path) -> None:
    foreign = generate_private_key(SECP256R1())
    (tmp_path / "ec").write_bytes(foreign.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "ec.pub").write_bytes(
        foreign.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "text").write_text("no key")
    for name, complaint in (("ec", "not an Ed25519"), ("text", "not a private key"), ("gone", "no such key")):
        if name != "gone":
            (tmp_path / name).chmod(0o600)
        with pytest.raises(ConfigError, match=complaint):
            load_key(tmp_path / name)
    for name, complaint in (("ec.pub", "not an Ed25519"), ("text", "not a public key"), ("gone", "no such key")):
        with pytest.raises(ConfigError, match=complaint):
            load_public_key(tmp_path / name)
    with pytest.raises(ConfigError, match="not a public key"):
        load_public_key(key)


def test_a_stock_model_is_not_signed(stock: dict[str, Path], key: Path) -> None:
    with pytest.raises(BundleError, match="holds no manifest of ours"):
        sign_bundle(stock["onnx"], load_key(key))


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    return result.exit_code, result.stdout, str(result.exception or "")


def test_keys_and_signatures_are_made_and_shown_by_command(bundles: dict[str, Path], tmp_path: Path) -> None:
    bundle = tmp_path / "model.onnx"
    shutil.copyfile(bundles["onnx-int8"], bundle)
    code, out, _ = invoke("keygen", tmp_path / "k")
    assert (code, out.strip()) == (0, str(tmp_path / "k.pub"))
    code, out, _ = invoke("show", bundle)
    assert (code, "signature  none" in out) == (0, True)
    assert invoke("show", bundle, "--trust", tmp_path / "k.pub")[0] == 1
    code, out, _ = invoke("sign", bundle, "--key", tmp_path / "k")
    assert (code, out.strip()) == (0, f"{bundle}.sig")
    code, out, _ = invoke("show", bundle, "--trust", tmp_path / "k.pub")
    assert code == 0
    assert "digest     holds" in out
    assert f"signature  holds, key {load_public_key(tmp_path / 'k.pub')}" in out


def test_show_says_what_does_not_hold(signed: Callable[[str], Path], tmp_path: Path) -> None:
    bundle = signed("onnx")
    manifest = read_manifest(bundle)
    assert manifest is not None
    make_key(tmp_path / "other")
    code, out, error = invoke("show", bundle, "--json", "--trust", tmp_path / "other.pub")
    seal = json.loads(out)
    assert (code, seal["digest_holds"], seal["signature_holds"]) == (1, True, False)
    assert "not trusted" in error
    embed_manifest(bundle, manifest.model_copy(update={"threshold": 0.01}))
    code, out, error = invoke("show", bundle, "--json")
    seal = json.loads(out)
    assert (code, seal["digest_holds"], seal["signature_holds"]) == (1, False, False)
    assert seal["manifest"]["threshold"] == 0.01
    assert "is not what was signed" in error
