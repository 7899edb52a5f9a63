// SPDX-License-Identifier: Apache-2.0
// Asks the browser for a security key (WebAuthn) and puts its answer into the page's form.
'use strict';

const toBytes = (text) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
const described = (list) => (list ?? []).map((entry) => ({ ...entry, id: toBytes(entry.id) }));

async function register(options) {
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: described(options.excludeCredentials),
  };
  const made = await navigator.credentials.create({ publicKey });
  return {
    id: made.id,
    rawId: toText(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: toText(made.response.clientDataJSON),
      attestationObject: toText(made.response.attestationObject),
    },
  };
}

async function show(options) {
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    allowCredentials: described(options.allowCredentials),
  };
  const shown = await navigator.credentials.get({ publicKey });
  return {
    id: shown.id,
    rawId: toText(shown.rawId),
    type: shown.type,
    response: {
      clientDataJSON: toText(shown.response.clientDataJSON),
      authenticatorData: toText(shown.response.authenticatorData),
      signature: toText(shown.response.signature),
    },
  };
}

const form = document.getElementById('key');
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const fault = document.getElementById('fault');
  fault.hidden = true;
  try {
    const options = JSON.parse(form.dataset.options);
    const answer = await (form.dataset.registers ? register(options) : show(options));
    form.elements.answer.value = JSON.stringify(answer);
    form.submit();
  } catch (error) {
    fault.textContent = `The browser has no answer of a key: ${error.message}`;
    fault.hidden = false;
  }
});
