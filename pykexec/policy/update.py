# SPDX-License-Identifier: Apache-2.0
"""A prediction as [[updates]], to be appended to a policy: as much as that policy asks for."""

from __future__ import annotations

from pykexec.policy.model import Policy
from pykexec.policy.predict import PredictedVariable, Prediction
from pykexec.policy.text import comment, listed, quoted


def update_toml(prediction: Prediction, name: str, policy: Policy | None = None) -> str:
    """TOML of an update called name.

    With a policy what that demands nothing of is left out, since it must not be added to. ""
    if nothing is left: the policy allows the update as it is.
    """
    lines = _pcrs(prediction, policy)
    if prediction.version and (policy is None or policy.versions):
        lines += ["[updates.firmware]", f"versions = {listed([prediction.version])}"]
    for variable, predicted in prediction.variables.items():
        lines += _variable(variable, predicted, policy)
    if not lines:
        return ""
    head = ["", *(comment(note) for note in prediction.notes), "[[updates]]"]
    return "\n".join([*head, f"name = {quoted(name)}", *lines]) + "\n"


def _pcrs(prediction: Prediction, policy: Policy | None) -> list[str]:
    bank = prediction.bank
    lines = [
        f"{number} = {listed([value])}"
        for number, value in prediction.pcrs.items()
        if policy is None or bank in policy.pcrs.get(number, {})
    ]
    return [f"[updates.pcrs.{bank}]", *lines] if lines else []


def _variable(name: str, predicted: PredictedVariable, policy: Policy | None) -> list[str]:
    demand = policy.secure_boot.variables.get(name) if policy else None
    if policy is not None and demand is None:
        return []
    lines = []
    if demand is None or demand.sha256:
        lines.append(f"sha256 = {listed([predicted.sha256])}")
    if demand and demand.certificates:
        new = [text for text in predicted.certificates if text not in demand.certificates]
        lines += [f"certificates = {listed(new)}"] if new else []
    if demand and demand.hashes:
        new = [text for text in predicted.hashes if text not in demand.hashes]
        lines += [f"hashes = {listed(new)}"] if new else []
    return [f"[updates.secure_boot.{name}]", *lines] if lines else []
