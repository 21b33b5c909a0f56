// As much of LeanCloud's message protocol (proto2, `push_server.messages2`) as the tests speak, written from its public definition and
// not from the SDK's own code, so that the two check each other.

const SESSION = { 1: ['t', 'int'], 2: ['n', 'text'], 3: ['s', 'text'], 4: ['ua', 'text'], 5: ['r', 'bool'], 10: ['st', 'text'], 11: ['stTtl', 'int'], 12: ['code', 'int'], 13: ['reason', 'text'] };
const ERROR = { 1: ['code', 'int'], 2: ['reason', 'text'], 4: ['detail', 'text'] };
const CONVERSATION = { 1: ['m', 'texts'], 2: ['transient', 'bool'], 3: ['unique', 'bool'], 4: ['cid', 'text'], 5: ['cdate', 'text'], 13: ['t', 'int'], 14: ['n', 'text'], 15: ['s', 'text'], 27: ['tempConv', 'bool'], 30: ['allowedPids', 'texts'] };
const BLACKLIST = { 1: ['srcCid', 'text'], 2: ['toPids', 'texts'], 10: ['allowedPids', 'texts'], 12: ['t', 'int'], 13: ['n', 'text'], 14: ['s', 'text'] };
const DIRECT = { 1: ['msg', 'text'], 11: ['cid', 'text'], 13: ['transient', 'bool'] };
const ACK = { 3: ['mid', 'text'], 4: ['cid', 'text'], 5: ['t', 'int'], 6: ['uid', 'text'] };
const COMMAND = {
  1: ['cmd', 'int'], 2: ['op', 'int'], 3: ['appId', 'text'], 4: ['peerId', 'text'], 5: ['i', 'int'], 9: ['serverTs', 'int'],
  102: ['sessionMessage', SESSION], 103: ['errorMessage', ERROR], 104: ['directMessage', DIRECT], 105: ['ackMessage', ACK],
  110: ['convMessage', CONVERSATION], 116: ['blacklistMessage', BLACKLIST],
};

export const CMD = { session: 0, conv: 1, direct: 2, ack: 3, error: 7, echo: 14, blacklist: 20 };
export const OP = { open: 1, add: 2, remove: 3, close: 4, opened: 5, closed: 6, added: 10, removed: 11, refresh: 12, refreshed: 13, start: 30, started: 31, block: 170, unblock: 171, blocked: 172, unblocked: 173 };

/** Reads a command. Fields that are not known are passed over. */
export const decode = (bytes) => decodeMessage(Buffer.from(bytes), COMMAND);

/** Writes a command. */
export const encode = (command) => encodeMessage(command, COMMAND);

function decodeMessage(bytes, fields) {
  const message = {};
  let at = 0;
  const varint = () => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [name, type] = fields[key >> 3] ?? [];
    if ((key & 7) === 0) {
      const value = varint();
      if (name) message[name] = type === 'bool' ? value === 1 : value;
      continue;
    }
    const end = varint() + at;
    const part = bytes.subarray(at, (at = end));
    if (type === 'texts') (message[name] ??= []).push(part.toString());
    else if (name) message[name] = type === 'text' ? part.toString() : decodeMessage(part, type);
  }
  return message;
}

function encodeMessage(message, fields) {
  const parts = [];
  const varint = (number) => {
    let value = BigInt(number);
    for (; value >= 0x80n; value >>= 7n) parts.push(Buffer.of(Number(value & 0x7fn) | 0x80));
    parts.push(Buffer.of(Number(value)));
  };
  for (const [number, [name, type]] of Object.entries(fields)) {
    const values = type === 'texts' ? message[name] ?? [] : [message[name]];
    for (const value of values.filter((value) => value !== undefined)) {
      const isNumber = type === 'int' || type === 'bool';
      varint((Number(number) << 3) | (isNumber ? 0 : 2));
      if (isNumber) {
        varint(value);
        continue;
      }
      const part = typeof value === 'string' ? Buffer.from(value) : encodeMessage(value, type);
      varint(part.length);
      parts.push(part);
    }
  }
  return Buffer.concat(parts);
}
