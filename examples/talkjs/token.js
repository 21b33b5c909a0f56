// A `tokenFetcher` for TalkJS: this is what to copy.

/**
 * Gets tokens from chat-signer at `signer`, for the caller whom `credential` proves.
 *
 * A fetcher that throws ends the session for good. So what passes by itself (429, 503: both say when to ask again) is waited for, and only
 * what is final is thrown.
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
