// A `tokenFetcher` for TalkJS. Copy this file into your app.

/**
 * Gets tokens from chat-signer at `signer`. `credential` returns the token of the caller.
 *
 * If a fetcher throws, the session ends permanently. So the fetcher throws only after a final error. After a temporary error (429 or 503,
 * with the header `Retry-After`) it waits and tries again.
 */
export const tokenFetcher = (signer, credential) => async () => {
  for (;;) {
    const headers = { authorization: `Bearer ${credential()}`, accept: 'text/plain' };
    const response = await fetch(`${signer}/v1/talkjs/token`, { method: 'POST', headers });
    if (response.ok) return response.text();
    const seconds = response.headers.get('retry-after');
    if (seconds === null) throw new Error((await response.json()).detail);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
};
