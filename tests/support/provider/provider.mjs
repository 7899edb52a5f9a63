// SPDX-License-Identifier: Apache-2.0
// An OpenID Connect provider on loopback for tests: node provider.mjs LIBRARY SETTINGS
//
// SETTINGS is JSON: client_id, client_secret, redirect_uris, offset_s (how wrong its clock is) and
// accounts, by login the groups or null. It says "port N" and ends with its standard input.
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.argv[3]);
const now = Date.now.bind(Date);
Date.now = () => now() + settings.offset_s * 1000;

const { default: Provider } = await import(pathToFileURL(process.argv[2]));
const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: settings.client_id,
        client_secret: settings.client_secret,
        redirect_uris: settings.redirect_uris,
        require_auth_time: true,
      },
    ],
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    scopes: ['openid', 'profile', 'groups'],
    conformIdTokenClaims: false,
    cookies: { keys: ['of a test'] },
    findAccount: (_context, login) => ({
      accountId: login,
      claims: () => ({
        sub: login,
        preferred_username: `${login}@example.org`,
        ...(settings.accounts[login] ? { groups: settings.accounts[login] } : {}),
      }),
    }),
  });
  server.on('request', provider.callback());
  console.log(`port ${port}`);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
