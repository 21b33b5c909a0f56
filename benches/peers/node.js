// The invite endpoint for Node.js, with its own modules only: `node node.js SECRET KEY LOG`. Tokens that were checked
// before are kept in a map. Prints the port that it listens on.
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');

const APP = 'demonstration-leancloud-app';
const MANAGERS = { '5f3c2a1b9e8d7c6b5a493827': ['alice', 'bob'] };
const [secretFile, keyFile, logFile] = process.argv.slice(2);
const secret = fs.readFileSync(secretFile);
const key = fs.readFileSync(keyFile, 'utf8').trim();
const log = fs.openSync(logFile, 'a');
const tokens = new Map();

function subject(header) {
    const token = (header || '').replace(/^Bearer /, '');
    const known = tokens.get(token);
    if (known) {
        return known.exp > Date.now() / 1000 ? known.sub : null;
    }
    const parts = token.split('.');
    if (parts.length !== 3) {
        return null;
    }
    const mac = crypto.createHmac('sha256', secret).update(parts[0] + '.' + parts[1]).digest('base64url');
    if (mac !== parts[2]) {
        return null;
    }
    const claims = JSON.parse(Buffer.from(parts[1], 'base64url'));
    if (claims.aud !== 'chat-signer-demo') {
        return null;
    }
    if (tokens.size >= 10000) {
        tokens.clear();
    }
    tokens.set(token, claims);
    return claims.exp > Date.now() / 1000 ? claims.sub : null;
}

function answer(response, status, body) {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body);
}

function sign(request, response, body) {
    const user = subject(request.headers.authorization);
    if (user === null) {
        return answer(response, 401, '');
    }
    const asked = JSON.parse(body);
    const fine = (id) => typeof id === 'string' && /^[^:]{1,64}$/.test(id);
    if (!fine(asked.conv_id) || !Array.isArray(asked.members) || !asked.members.length || !asked.members.every(fine)) {
        return answer(response, 400, '');
    }
    if (!(MANAGERS[asked.conv_id] || []).includes(user)) {
        return answer(response, 403, '');
    }
    const timestamp = Date.now();
    const nonce = crypto.randomBytes(16).toString('hex');
    const members = [...asked.members].sort().join(':');
    const text = [APP, user, asked.conv_id, members, timestamp, nonce, 'invite'].join(':');
    const signature = crypto.createHmac('sha1', key).update(text).digest('hex');
    const line = { time: new Date(timestamp), decision: 'allow', user, action: 'invite', ...asked, nonce };
    fs.writeSync(log, JSON.stringify(line) + '\n');
    answer(response, 200, JSON.stringify({ signature, timestamp, nonce }));
}

const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => sign(request, response, Buffer.concat(chunks).toString()));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
