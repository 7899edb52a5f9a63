# SPDX-License-Identifier: Apache-2.0
"""An OCI image layout: oci-layout, index.json, and blobs by their digests.

OCI image specification 1.1, "Image Layout", "Image Manifest", "Image Configuration".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tools.oci.layer import MEDIA_TYPE, Layer

_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_PREFIX = "org.opencontainers.image"


@dataclass(frozen=True, slots=True)
class Image:
    """What the image is and how it starts; epoch (seconds) is when it was made, labels are the
    specification's keys without their prefix.
    """

    name: str
    epoch: int
    user: int
    entrypoint: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    volumes: Sequence[str]
    port: int
    labels: Mapping[str, str]


def blobs(into: Path) -> Path:
    """Where the layout in into has its blobs, made if it is missing."""
    path = into / "blobs" / "sha256"
    path.mkdir(parents=True, exist_ok=True)
    return path


def write(image: Image, layers: Sequence[Layer], into: Path) -> None:
    """Finish the layout in into, whose blobs() has the layers."""
    labels = {f"{_PREFIX}.{key}": value for key, value in image.labels.items()}
    config = _blob(into, _CONFIG, _configuration(image, layers, labels))
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": config,
        "layers": [
            {"mediaType": MEDIA_TYPE, "digest": layer.digest, "size": layer.size}
            for layer in layers
        ],
        "annotations": labels,
    }
    described = _blob(into, _MANIFEST, manifest)
    described["platform"] = {"architecture": "amd64", "os": "linux"}
    described["annotations"] = {f"{_PREFIX}.ref.name": image.name}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [described]}
    (into / "index.json").write_bytes(_json(index))
    (into / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def _configuration(
    image: Image, layers: Sequence[Layer], labels: Mapping[str, str]
) -> dict[str, object]:
    created = datetime.fromtimestamp(image.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "created": created,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": f"{image.user}:{image.user}",
            "ExposedPorts": {f"{image.port}/tcp": {}},
            "Env": [f"{name}={value}" for name, value in image.environment.items()],
            "Entrypoint": list(image.entrypoint),
            "Cmd": list(image.command),
            "Volumes": {path: {} for path in image.volumes},
            "WorkingDir": "/",
            "Labels": dict(labels),
            "StopSignal": "SIGTERM",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": created, "created_by": layer.created_by} for layer in layers],
    }


def _blob(into: Path, media_type: str, value: object) -> dict[str, object]:
    """Its descriptor."""
    data = _json(value)
    digest = hashlib.sha256(data).hexdigest()
    (blobs(into) / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
