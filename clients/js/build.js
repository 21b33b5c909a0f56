// Writes the CommonJS form of the package: index.cjs from index.js, and index.d.cts from index.d.ts.

import { readFileSync, writeFileSync } from 'node:fs';

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');

/** Returns the content of each generated file. */
export function generate() {
  const [code, exports] = read('index.js').split(/^export (?=\{)/m);
  return { 'index.cjs': `${code}module.exports = ${exports}`, 'index.d.cts': read('index.d.ts') };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const [name, text] of Object.entries(generate())) writeFileSync(new URL(name, import.meta.url), text);
}
