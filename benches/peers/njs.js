// The invite endpoint for nginx with njs: checks the caller's token, a role, and the members, and signs with HMAC-SHA1.
import crypto from 'crypto';
import fs from 'fs';

const APP = 'demonstration-leancloud-app';
const MANAGERS = { '5f3c2a1b9e8d7c6b5a493827': ['alice', 'bob'] };
const secret = fs.readFileSync('HS256.secret');
const key = fs.readFileSync('leancloud.key', 'utf8').trim();

function subject(header) {
    const parts = (header || '').replace(/^Bearer /, '').split('.');
    if (parts.length !== 3) {
        return null;
    }
    const mac = crypto.createHmac('sha256', secret).update(parts[0] + '.' + parts[1]).digest('base64url');
    if (mac !== parts[2]) {
        return null;
    }
    const claims = JSON.parse(Buffer.from(parts[1], 'base64url').toString());
    const valid = claims.exp > Date.now() / 1000 && claims.aud === 'chat-signer-demo';
    return valid ? claims.sub : null;
}

function invite(r) {
    const user = subject(r.headersIn.Authorization);
    if (user === null) {
        return r.return(401);
    }
    const asked = JSON.parse(r.requestText);
    const fine = (id) => typeof id === 'string' && /^[^:]{1,64}$/.test(id);
    if (!fine(asked.conv_id) || !Array.isArray(asked.members) || !asked.members.length || !asked.members.every(fine)) {
        return r.return(400);
    }
    if (!(MANAGERS[asked.conv_id] || []).includes(user)) {
        return r.return(403);
    }
    const members = asked.members.slice().sort().join(':');
    const timestamp = Date.now();
    const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex');
    const text = [APP, user, asked.conv_id, members, timestamp, nonce, 'invite'].join(':');
    const signature = crypto.createHmac('sha1', key).update(text).digest('hex');
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify({ signature, timestamp, nonce }));
}

export default { invite };
