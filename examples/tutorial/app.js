// The app of the tutorial: a page with a chat, and a stand-in for your identity provider. It gives everyone a token for any name, so use it
// only to try chat-signer.

import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const PORT = 7490;
const ISSUER = `http://127.0.0.1:${PORT}/`;
const AUDIENCE = 'my-chat';
const FILES = {
  '/': ['text/html', 'index.html'],
  '/ably.js': ['text/javascript', 'node_modules/ably/build/ably.min.js'],
  '/chat-signer-client.js': ['text/javascript', 'node_modules/chat-signer-client/index.js'],
};
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Returns a token that is valid for one hour. */
function token(sub) {
  const now = Math.floor(Date.now() / 1000);
  const signed = `${encode({ alg: 'RS256', typ: 'JWT', kid: 'tutorial' })}.${encode({ iss: ISSUER, aud: AUDIENCE, sub, iat: now, exp: now + 3600 })}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
}

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, ISSUER);
  const send = (type, body) => response.setHeader('content-type', type).end(body);
  const [type, file] = FILES[pathname] ?? [];
  if (file) return send(type, readFileSync(new URL(file, import.meta.url)));
  switch (pathname) {
    case '/.well-known/openid-configuration':
      return send('application/json', JSON.stringify({ issuer: ISSUER, jwks_uri: `${ISSUER}keys` }));
    case '/keys':
      return send('application/json', JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'tutorial', alg: 'RS256', use: 'sig' }] }));
    case '/token':
      return send('text/plain', token(searchParams.get('sub')));
    default:
      return response.writeHead(404).end();
  }
}).listen(PORT, '127.0.0.1');
