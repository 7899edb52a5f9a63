# SPDX-License-Identifier: Apache-2.0
"""A whole launch: one manifest in, one xen.efi and one bundle out, the same every time."""

from __future__ import annotations

import contextlib
import gzip
import io
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pykexec.cli import main
from pykexec.efi import pe
from pykexec.efi.unified_xen import UnifiedXen, check_unified
from pykexec.errors import FormatError
from pykexec.image import imports, interpreter
from pykexec.launch import userland
from pykexec.launch.build import opened
from pykexec.launch.dom0.measure import predict
from pykexec.launch.dom0.settings import PATH, parse_settings
from pykexec.launch.predict import pcr4
from pykexec.launch.userland import BIN, MODULES, PROGRAM, PROGRAMS, SIZE_MAX, find
from pykexec.vm import packages
from tests.support.launches import xen_bytes
from tests.support.shared import once
from tests.unit.image.inputs import kernel_bytes
from tests.unit.launch.inputs import HIDDEN, KEY, MANIFEST, PUBLIC, SETTINGS, of_version

CONFIG = "CONFIG_XEN_DOM0=y\nCONFIG_XEN_PV=y\nCONFIG_RD_GZIP=y\n"  # zstd takes longer.


def write_inputs(directory: Path, config: str = CONFIG) -> None:
    """A manifest, and all that it names."""
    modules = directory / "modules"
    modules.mkdir(parents=True)
    (modules / "config").write_text(config)
    builtin = "".join(f"kernel/drivers/xen/{name}.ko\n" for name in MODULES)
    (modules / "modules.builtin").write_text(builtin)
    (directory / "vmlinuz").write_bytes(kernel_bytes())
    (directory / "xen.efi").write_bytes(xen_bytes())
    (directory / "filter.img").write_bytes(b"initramfs")
    (directory / "main.cvd").write_bytes(b"signatures")
    (directory / "bundle.key").write_bytes(
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    utils = packages.fetch(packages.XEN_UTILS["4.17"])
    text = MANIFEST.replace("/boot/", f"{directory}/")
    text = text.replace("[hidden]", f'modules = "{modules}"\nroots = ["{utils}", "/"]\n[hidden]')
    text = text.replace("filter.img", f"{directory}/filter.img")
    (directory / "launch.toml").write_text(text.replace('source = "', f'source = "{directory}/'))


def launch_build(directory: Path, *more: str) -> int:
    """What the verb ends with."""
    given = {"--bundle-key": "bundle.key", "--output": "out.efi", "--bundle": "out.bundle"}
    words = [word for key, name in given.items() for word in (key, str(directory / name))]
    return main(["launch", "build", str(directory / "launch.toml"), *words, *more])


@pytest.fixture(name="made", scope="session")
def made_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two launches of equal inputs, in two places, and what was printed of the first."""

    def make(at: Path) -> None:
        for turn in ("one", "other/a"):
            write_inputs(at / turn)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert launch_build(at / turn) == 0
            (at / turn / "printed").write_text(out.getvalue())

    return once(tmp_path_factory, "launches", make)


def test_equal_inputs_make_equal_files(made: Path) -> None:
    for name in ("out.efi", "out.bundle"):
        assert (made / "one" / name).read_bytes() == (made / "other/a" / name).read_bytes()


def unpacked(made: Path) -> dict[str, bytes]:
    """dom0's files by path."""
    data = (made / "one/out.efi").read_bytes()
    section = pe.parse(data, "out").section(".ramdisk")
    assert section and section.virtual_size < SIZE_MAX
    archive = gzip.decompress(pe.section_data(data, section))
    found, at = {}, 0
    while at < len(archive):
        fields = [int(archive[at + n : at + n + 8], 16) for n in range(6, 110, 8)]
        size, name_size = fields[6], fields[11]
        name = archive[at + 110 : at + 109 + name_size].decode()
        body = -(-(at + 110 + name_size) // 4) * 4
        found[name] = archive[body : body + size]
        at = -(-(body + size) // 4) * 4
    return found


def test_the_image_is_a_launch_whose_dom0_knows_what_to_hold_it_against(made: Path) -> None:
    image = check_unified((made / "one/out.efi").read_bytes(), "out.efi")
    assert image == UnifiedXen("console=com1 dom0_mem=700M,max:700M", "console=hvc0 quiet")
    held = parse_settings(unpacked(made)[PATH.lstrip("/")])
    assert (held.options, held.cmdline) == (image.options, image.cmdline)
    assert (held.key, held.version, held.may_roll_back) == (PUBLIC, 7, False)
    assert held.hidden == HIDDEN


def test_dom0_has_its_programs_their_libraries_and_python_and_no_agent(made: Path) -> None:
    files = unpacked(made)
    assert {f"{BIN}/{Path(pattern).name}" for pattern in PROGRAMS} <= files.keys()
    names = {Path(path).name for path in files}
    assert {"libxenlight.so.4.17.0", "libxenlight.so.4.17"} & names
    ours = {path for path in files if "pykexec/" in path and path.endswith(".pyc")}
    assert any(path.endswith("pykexec/launch/dom0/start.pyc") for path in ours)
    rooms = ("/pykexec/guest/", "/pykexec/image/", "/pykexec/server/", "/pykexec/cli/")
    assert not [path for path in ours if any(room in path for room in rooms)]
    assert not [path for path in ours if path.endswith("pykexec/launch/build.pyc")]


def test_dom0_imports_what_is_shipped_alone() -> None:
    own = imports.closure(Path(imports.__file__).parents[1], PROGRAM).own
    assert "pykexec.launch" in own and "pykexec.launch.dom0.bundle" in own
    assert not [name for name in own if imports.is_host_only(name)]


def test_what_is_foreseen_is_printed(made: Path) -> None:
    data, printed = (made / "one/out.efi").read_bytes(), (made / "one/printed").read_text()
    digest = pe.authenticode_digest(data, pe.parse(data, "x"))
    assert f"Authenticode sha256 {digest.hex()}" in printed
    assert f"PCR 4 sha256 {pcr4([digest], 'sha256').hex()} (started by the firmware" in printed
    bundle = opened((made / "one/out.bundle").read_bytes(), PUBLIC)
    for name, value in predict(bundle).items():
        assert f"PCR 13 sha256 {value.hex()} ({f'domain {name}' if name else 'bundle'})" in printed


def test_a_file_that_domains_share_is_in_the_bundle_once(made: Path) -> None:
    bundle = opened((made / "one/out.bundle").read_bytes(), PUBLIC)
    assert [each.kernel for each in bundle.domains] == ["filter/kernel"] * 2
    assert [f.path for f in bundle.files] == ["filter/kernel", "filter/ramdisk", "sigdb/main.cvd"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "version = 7",
            "version = 6",
            "version 6 is older than 7, and the manifest allows no roll",
        ),
        ('name = "pc"', 'name = "pc"\ndisk = 7', "domain[1].disk: must be a string"),
        ('main.cvd"\nsource', '../x"\nsource', "files[2].path: 'sigdb/../x': no path of a bundle"),
    ],
)
def test_a_launch_that_is_refused_leaves_what_was_there(
    old: str, new: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inputs(tmp_path / "a")
    text = (tmp_path / "a/launch.toml").read_text()
    assert old in text
    (tmp_path / "a/launch.toml").write_text(text.replace(old, new))
    (tmp_path / "a/out.bundle").write_bytes(of_version(7))
    (tmp_path / "a/out.efi").write_bytes(b"as it was")
    assert launch_build(tmp_path / "a") == FormatError.exit_code
    assert fault in capsys.readouterr().err
    assert (tmp_path / "a/out.bundle").read_bytes() == of_version(7)
    assert (tmp_path / "a/out.efi").read_bytes() == b"as it was"


def test_a_cloud_kernel_is_refused_as_dom0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inputs(tmp_path / "a", "CONFIG_XEN_PV=y\n")
    assert launch_build(tmp_path / "a") == FormatError.exit_code
    assert "vmlinuz: no kernel for dom0: it has no CONFIG_XEN_DOM0" in capsys.readouterr().err
    assert not (tmp_path / "a/out.bundle").exists()


def test_what_is_to_be_replaced_has_to_be_a_bundle_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inputs(tmp_path / "a")
    (tmp_path / "a/out.bundle").write_bytes(b"a letter")
    assert launch_build(tmp_path / "a") == FormatError.exit_code
    assert "what the new bundle is to replace: bundle: truncated" in capsys.readouterr().err
    assert (tmp_path / "a/out.bundle").read_bytes() == b"a letter"


def test_a_dom0_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userland, "programs", lambda roots: [])
    monkeypatch.setattr(interpreter, "entries", lambda program: [])
    packed, size = userland.compose([], {}, "6.1", SETTINGS, bytes)
    assert len(packed) == size
    monkeypatch.setattr(userland, "SIZE_MAX", size - 1)
    with pytest.raises(FormatError, match=rf"^dom0's initramfs has {size} bytes, at most"):
        userland.compose([], {}, "6.1", SETTINGS, bytes)


def test_a_program_that_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"^usr/bin/swtpm: in none of .*dom0.roots"):
        find([tmp_path], "usr/bin/swtpm")
